"""The Prefect server: API and UI in one process, over PostgreSQL."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from flows.services import postgres
from flows.services.daemon import Daemon
from flows.services.secrets import Secrets
from flows.services.settings import Settings, clean_environment

NAME = "server"
START_TIMEOUT = 240.0
"""Seconds; the first time it makes its tables."""
GRACE = 30.0


def start(services: Path, settings: Settings, secrets: Secrets) -> None:
    """Start it and wait until it answers.

    Raises:
        ServiceError: it does not start.
    """
    home = services / NAME
    home.mkdir(exist_ok=True, mode=0o700)
    public = urlsplit(settings.public_url)
    variables = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_HOST": settings.host,
        "PREFECT_SERVER_API_PORT": str(settings.port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": postgres.url(settings, secrets),
        # Where a browser finds the API; else the page would ask the address that the server listens on.
        "PREFECT_SERVER_UI_API_URL": f"{settings.public_url}/api",
        # By default the page of any other site may ask it, through the browser of whoever visits both.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{public.scheme}://{public.netloc}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.auth:
        variables["PREFECT_SERVER_API_AUTH_STRING"] = secrets.api
        variables["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "true"
    daemon = Daemon(services, NAME)
    process = daemon.start(
        [sys.executable, "-m", "prefect", "server", "start"],
        clean_environment("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") | variables,
        folder=home,
    )
    daemon.wait(process, lambda: _answers(settings), START_TIMEOUT)


def stop(services: Path) -> bool:
    """End it; whether it ran."""
    return Daemon(services, NAME).stop(GRACE)


def environment(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """What a client on this machine needs."""
    variables = {"PREFECT_API_URL": f"{settings.local_url}/api"}
    return variables | ({"PREFECT_API_AUTH_STRING": secrets.api} if settings.auth else {})


def _answers(settings: Settings) -> bool:
    """Whether it is up and reaches its database."""
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            return client.get(f"{settings.local_url}/api/ready").is_success
    except httpx.HTTPError:
        return False
