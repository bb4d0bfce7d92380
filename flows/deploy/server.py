"""The server that is deployed to, as PREFECT_API_URL names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError

import httpx
import prefect
from prefect.client.orchestration import SyncPrefectClient
from prefect.settings import get_current_settings

from tasks.core.errors import ServiceError


@contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """A client of the server that is configured; no other is started.

    Raises:
        ServiceError: none is configured, it does not answer, asks for a password, is of another version, or refuses
            what it is asked for.
    """
    api = get_current_settings().api
    if not api.url:
        raise ServiceError(
            "no Prefect server is configured: PREFECT_API_URL is not set. On this machine: earthloom up, then "
            "source the file that it names."
        )
    password = api.auth_string.get_secret_value() if api.auth_string else None
    try:
        with SyncPrefectClient(str(api.url), auth_string=password) as client:
            _check_version(client, api.url)
            yield client
    except httpx.HTTPStatusError as error:
        raise ServiceError(_refusal(error, api.url)) from error
    except httpx.HTTPError as error:
        raise ServiceError(
            f"no server answers at {api.url} ({type(error).__name__}): is PREFECT_API_URL right?"
        ) from error


def _check_version(client: SyncPrefectClient, url: str) -> None:
    try:
        version = client.api_version()
    except JSONDecodeError as error:
        raise ServiceError(f"{url} is no Prefect server; its address ends with /api") from error
    if version.split(".")[:2] != prefect.__version__.split(".")[:2]:
        raise ServiceError(f"the server at {url} is Prefect {version}; this project is made for {prefect.__version__}")


def _refusal(error: httpx.HTTPStatusError, url: str) -> str:
    code = error.response.status_code
    if code == httpx.codes.UNAUTHORIZED:
        return f"the server at {url} asks for a password: set PREFECT_API_AUTH_STRING to its user:password"
    if code == httpx.codes.NOT_FOUND and error.request.url.path.endswith("/admin/version"):
        return f"{url} is no Prefect server; its address ends with /api"
    return f"the server at {url} refuses {error.request.method} {error.request.url.path}: {error.response.text[:500]}"
