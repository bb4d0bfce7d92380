"""`earthloom report`: where the report of the last run lies."""

from tasks.core import log, paths
from tasks.core.errors import MissingInputError


def report() -> None:
    """Print where the report of the last run lies."""
    page = paths.report()
    if not page.is_file():
        raise MissingInputError(f"{page} is not there; `earthloom demo` makes it")
    log.console.print(f"Report: [bold]{page.resolve().as_uri()}[/bold]", soft_wrap=True)
