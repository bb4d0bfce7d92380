"""What a run of a deployment does first: it may outlive its worker, and others may have died before it."""

from prefect.settings import get_current_settings

from flows.walking.crashed import end_their_tasks
from flows.walking.outlive import outlive_the_worker


def has_server() -> bool:
    """Whether a server is configured: others may look at it, and have workers on it."""
    return bool(get_current_settings().api.url)


def begin() -> None:
    """To be called once, at the start of a run that does not work in somebody's checkout."""
    outlive_the_worker()
    if has_server():
        end_their_tasks()
