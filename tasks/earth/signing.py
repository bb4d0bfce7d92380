"""Tokens of the Planetary Computer: asked for just before a read, and again before they expire.

planetary-computer's own request waits as long as the service asks it to, ten times over, and raises what requests
raises. Here it is bounded as every other request is, and a service that does not answer is unreachable: what it would
have signed is no worse than it was.
"""

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tasks.core.errors import SceneError, UnreachableError
from tasks.earth.conditions import instant
from tasks.earth.hosts import Hosts, own_host
from tasks.earth.http import MAX_WAIT, AnswerError, Http

BLOBS = "*.blob.core.windows.net"
"""Hosts of the files that are signed."""
PUBLIC = "ai4edatasetspublicassets.blob.core.windows.net"
"""The account whose files need no token."""
SPARE = timedelta(minutes=5)
"""A token is asked for anew when it has less than this left: a read may take a while."""


@dataclass(frozen=True)
class _Token:
    text: str
    expiry: datetime


class Signer:
    """Signs addresses of Azure's blob storage; all others pass as they are."""

    def __init__(self, max_wait: float = MAX_WAIT) -> None:
        settings = _settings()
        self._service = str(settings.sas_url).rstrip("/")
        hosts = Hosts((own_host(self._service),), "PC_SDK_SAS_URL")
        self._http = Http("signing service", hosts, max_wait)
        if settings.subscription_key:
            self._http.headers["Ocp-Apim-Subscription-Key"] = settings.subscription_key
        self._tokens: dict[str, _Token] = {}
        self._lock = Lock()

    def sign(self, url: str) -> str:
        """`url` with a token that is good for some minutes.

        Raises:
            UnreachableError: the signing service gives none just now.
        """
        parts = urlsplit(url)
        if not parts.netloc.endswith(BLOBS.removeprefix("*")) or parts.netloc == PUBLIC:
            return url
        if {"st", "se", "sp"} & set(parse_qs(parts.query)):
            return url
        account, container = parts.netloc.partition(".")[0], parts.path.lstrip("/").partition("/")[0]
        with self._lock:  # the files of a scene are opened at the same time, and one token does for all
            token = self._tokens.get(where := f"{account}/{container}")
            if token is None or token.expiry - datetime.now(UTC) < SPARE:
                token = self._tokens[where] = self._ask(where)
        return f"{url}?{token.text}"

    def _ask(self, where: str) -> _Token:
        try:
            answer = self._http.json(f"{self._service}/{where}")
            return _Token(str(answer["token"]), instant(answer["msft:expiry"]))
        except (AnswerError, UnreachableError, SceneError, KeyError, ValueError, TypeError) as error:
            known = isinstance(error, AnswerError | UnreachableError | SceneError)
            raise UnreachableError(
                f"the Planetary Computer's signing service gives no token for {where}: "
                f"{error if known else 'its answer holds none'}. What was finished is kept: run the same command again "
                "later."
            ) from error


def _settings() -> Any:
    """Where the service answers, and the key of an account that may ask it more often: as planetary-computer has it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Support for class-based `config` is deprecated")
        from planetary_computer.settings import Settings
    return Settings()
