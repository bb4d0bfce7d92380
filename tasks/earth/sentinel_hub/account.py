"""An account at Sentinel Hub: its credentials, one client within the service's limits, and what a refusal means.

Credentials come from the environment, SH_CLIENT_ID and SH_CLIENT_SECRET (a flow may put them there from a Prefect
block), and go nowhere but to the service's token address: no profile file of `sentinelhub` is read or written, and
whatever the service says is cleared of them before it is shown.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

import requests
from oauthlib.oauth2 import OAuth2Error
from sentinelhub.config import SHConfig
from sentinelhub.download.models import DownloadRequest, DownloadResponse
from sentinelhub.download.rate_limit import SentinelHubRateLimit
from sentinelhub.download.sentinelhub_client import SentinelHubDownloadClient
from sentinelhub.download.session import SentinelHubSession
from sentinelhub.exceptions import (
    BaseSentinelHubException,
    DownloadFailedException,
    OutOfRequestsException,
    SHRateLimitWarning,
)

from tasks.core.errors import CatalogError, EarthloomError, UnreachableError
from tasks.earth.sentinel_hub import CLIENT_ID, CLIENT_SECRET

logger = logging.getLogger(__name__)
LIMIT = "largest"
"""Key of a request's `extra_params`: the most bytes its answer may have."""
LARGEST_PAGE = 64_000_000
"""Bytes of any other answer: a page of 100 items has some 500 kB."""
# They write the body of the request for a token, the secret in it, to their debug log.
for _name in ("requests_oauthlib", "oauthlib", "sentinelhub"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Patience:
    """How long a service that is busy or down is waited for."""

    longest_wait: float = 120.0
    """Seconds of a `Retry-After`; a longer one ends the stage."""
    attempts: int = 4
    """Of one request, at errors of the server or the network, and again at its limit of requests."""
    pause: float = 2.0
    """Seconds before the second attempt; each further one waits three times as long."""
    timeout: float = 120.0
    """Seconds without an answer: a large block may take a minute to compute."""
    at_once: int = 4
    """Requests under way at the same time."""
    per_second: float = 10.0
    """Requests begun, at most."""


@dataclass(frozen=True)
class Account:
    """The account of the environment at one service; comes from `open_account`."""

    url: str
    """Root of the service, such as https://services.sentinel-hub.com."""
    token_url: str
    deployments: Mapping[str, str]
    """Collection -> root of the deployment that holds it, where it is another one."""
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)
    patience: Patience = Patience()

    def root(self, collection: str) -> str:
        """Root of the deployment that answers for a collection."""
        return self.deployments.get(collection, self.url).rstrip("/")

    def config(self, collection: str) -> SHConfig:
        """Settings of `sentinelhub` for a collection; nothing of its profile files is in them."""
        return SHConfig(
            use_defaults=True,
            sh_client_id=self.client_id,
            sh_client_secret=self.client_secret,
            sh_base_url=self.root(collection),
            sh_token_url=self.token_url,
            max_download_attempts=self.patience.attempts,
            max_retries=self.patience.attempts,
            download_sleep_time=self.patience.pause,
            download_timeout_seconds=self.patience.timeout,
        )

    @cached_property
    def _limit(self) -> "BoundedRateLimit":
        """One for all requests of this process: a wait that one was bidden is a wait of all."""
        return BoundedRateLimit(self.patience.longest_wait, self.patience.per_second)

    @cached_property
    def _session(self) -> SentinelHubSession:
        """One token for all deployments; it is asked for anew before it ends."""
        return SentinelHubSession(config=self.config(""))

    def client(self, collection: str) -> "Client":
        """A client for a collection, to be used inside `errors`."""
        client = Client(session=self._session, config=self.config(collection))
        client.rate_limit = self._limit
        return client

    def download(self, collection: str, wanted: Sequence[DownloadRequest], what: str) -> list[DownloadResponse]:
        """Answers to requests, in their order, within the service's limits.

        Args:
            collection: the requests are of.
            wanted: requests; `extra_params` of each may say how large its answer may be, see `LIMIT`.
            what: is asked for, for errors.

        Raises:
            UnreachableError: the service is down, busy for too long, or the account's quota is used up.
            CatalogError: it refuses the account or the request.
        """
        with self.errors(what):
            answers = self.client(collection).download(wanted, max_threads=self.patience.at_once, decode_data=False)
        return [answer for answer in answers if isinstance(answer, DownloadResponse)]

    @contextmanager
    def errors(self, what: str) -> Iterator[None]:
        """Errors of the service as the project's own, without the credentials.

        Raises:
            UnreachableError, CatalogError: see `download`.
        """
        try:
            # Waiting is logged by `BoundedRateLimit`; a warning as well would be an error where warnings are.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SHRateLimitWarning)
                yield
        except (BaseSentinelHubException, requests.RequestException, OAuth2Error) as error:
            # Not `from error`: what the service echoes must not come back with the traceback.
            raise self._explained(error, what) from None

    def _explained(self, error: Exception, what: str) -> EarthloomError:
        response = getattr(getattr(error, "request_exception", error), "response", None)
        status = None if response is None else response.status_code
        said = self._without_secrets(_said(error, response))
        if isinstance(error, OAuth2Error) or status == requests.codes.unauthorized:
            return CatalogError(
                f"{what}: Sentinel Hub does not accept the credentials of {CLIENT_ID} and {CLIENT_SECRET} ({said}). "
                f"They belong to an OAuth client of the account behind {self.token_url}: each service has its own"
            )
        if isinstance(error, OutOfRequestsException) or status in (requests.codes.forbidden, 429):
            return UnreachableError(
                f"{what}: Sentinel Hub refuses for now: {said}. The account's processing units or requests are used "
                "up, or it may not read this collection; what was finished is kept: run the same command again later"
            )
        if status is not None and status < 500:
            return CatalogError(f"{what}: Sentinel Hub answers {status}: {said}")
        return UnreachableError(
            f"{what}: Sentinel Hub cannot be reached: {said}. What was finished is kept: run the same command later"
        )

    def _without_secrets(self, text: str) -> str:
        secrets = [self.client_secret, self.client_id]
        if session := self.__dict__.get("_session"):
            secrets.append(str(session._token["access_token"]))  # `token` might ask for a new one
        for secret in secrets:
            text = text.replace(secret, "***")
        return text


class BoundedRateLimit(SentinelHubRateLimit):
    """The library's limiter, which waits as long as it is bid: here with a bound, and aloud."""

    def __init__(self, longest_wait: float, per_second: float) -> None:
        super().__init__(minimum_wait_time=1 / per_second)
        self.longest_wait = longest_wait

    def update(self, headers: Mapping[str, str], *, default: float) -> None:
        """Note how long the service bids to wait, in milliseconds as its documentation has it.

        Raises:
            OutOfRequestsException: longer than is waited for.
        """
        bidden = headers.get(self.RETRY_HEADER, "")
        seconds = (float(bidden) if bidden.isdecimal() else default) / 1000
        if seconds > self.longest_wait:
            raise OutOfRequestsException(
                f"it bids to wait {seconds:.0f} s, and {self.longest_wait:.0f} s are waited at most"
            )
        logger.warning("Sentinel Hub is at its limit of requests: waiting %.1f s", seconds)
        super().update({self.RETRY_HEADER: str(round(seconds * 1000))}, default=default)


class Client(SentinelHubDownloadClient):
    """The library's client, which takes an answer of any size from wherever it is sent: here it does neither."""

    def _do_download(self, request: DownloadRequest) -> requests.Response:
        limit = int(request.extra_params.get(LIMIT, LARGEST_PAGE))
        response = requests.request(
            request.request_type.value,
            url=str(request.url),
            json=request.post_values,
            headers=self._prepare_headers(request),
            timeout=self.config.download_timeout_seconds,
            stream=True,
            allow_redirects=False,  # the token would go along
        )
        with response:
            if response.is_redirect:
                raise DownloadFailedException(f"{request.url} sends elsewhere, which is not followed")
            body = b""
            for part in response.iter_content(1 << 20):
                body += part
                if len(body) > limit:
                    raise DownloadFailedException(f"{request.url} answers with more than the {limit} bytes expected")
            response._content = body
        return response


def open_account(
    url: str, token_url: str | None, deployments: Mapping[str, str], patience: Patience | None = None
) -> Account:
    """The account whose credentials the environment holds. Nothing is asked of the service yet.

    Raises:
        CatalogError: there are no credentials, no address to get a token from, or one that is not secure.
    """
    missing = [name for name in (CLIENT_ID, CLIENT_SECRET) if not os.environ.get(name)]
    if missing:
        raise CatalogError(
            f"Sentinel Hub at {url} needs an account: {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not set. They are the id and the secret of an OAuth client, "
            "which the dashboard of the account makes; set them in the environment, never in params.yaml "
            "(docs/how-to/sentinel-hub.md)"
        )
    if token_url is None:
        raise CatalogError(f"Sentinel Hub at {url} has no `token_url` in params.yaml, where its tokens come from")
    for address in (url, token_url, *deployments.values()):
        parts = urlsplit(address)
        if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            raise CatalogError(f"Sentinel Hub at {address}: only https keeps the credentials from others on the way")
    return Account(
        url, token_url, deployments, os.environ[CLIENT_ID], os.environ[CLIENT_SECRET], patience or Patience()
    )


def _said(error: Exception, response: requests.Response | None) -> str:
    """The reason in one line: the service's own words where there are any."""
    if response is not None:
        try:
            body = response.json()
            found = body.get("error", body)
            words = found.get("message", found) if isinstance(found, dict) else found
        except (ValueError, AttributeError):
            words = response.reason
        return f"{response.status_code} {words}"[:300]
    cause = getattr(error, "request_exception", None) or error
    text = str(getattr(error, "description", "") or cause).strip() or type(cause).__name__
    return f"{getattr(error, 'error', '')} {text}".strip().replace("\n", " ")[:300]
