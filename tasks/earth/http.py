"""Requests to strangers: bounded in time, in size and in where they lead.

A request is tried again after what may pass (no answer, 403, 408, 429, 5xx, a body that was cut), waiting as long as
the server asks for, but never longer than `max_wait` seconds in all, and it says so when it waits.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from tasks.core.errors import UnreachableError
from tasks.core.redaction import redacted
from tasks.earth.hosts import Hosts

logger = logging.getLogger(__name__)
MAX_WAIT = 60.0
"""Seconds that one request waits in all between its tries."""
TIMEOUT = (10.0, 30.0)
"""Seconds for a connection, and between two bytes of an answer."""
LONGEST = 120.0
"""Seconds an answer may take from its first byte to its last."""
LARGEST = 64_000_000
"""Bytes of an answer, unpacked; a page of 100 items is about 1 MB."""
TRIES = 6
PASSING = {403, 408, 425, 429, 500, 502, 503, 504}
"""Answers that may be others a moment later. Gateways answer 403 where they mean 429."""
_REDIRECTS = {301, 302, 303, 307, 308}


class AnswerError(Exception):
    """The server answered, and the answer is no. `status` is its number."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class _TransientError(Exception):
    """A failure that may pass; `wait` is how long the server asks us to wait, `status` its answer."""

    def __init__(self, message: str, status: int = 0, wait: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait


class Http:
    """A session with one catalog's servers."""

    def __init__(
        self, name: str, hosts: Hosts, max_wait: float = MAX_WAIT, throttle: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.hosts = hosts
        self.max_wait = max_wait
        self.timeout = TIMEOUT
        self._throttle = throttle
        self._session = requests.Session()
        self.headers = self._session.headers
        """Sent with every request. None is ever taken from what a server says."""

    def json(
        self, url: str, method: str = "GET", body: Mapping[str, Any] | None = None, server_errors: int = TRIES
    ) -> Any:
        """The JSON that answers a request; a query goes into the URL of a GET, `body` is that of a POST.

        Args:
            url: one of the catalog's hosts.
            method: GET or POST.
            body: sent as JSON.
            server_errors: tries after an answer of 5xx; fewer than the usual six where there is another way to ask.

        Raises:
            AnswerError: the server refuses for good, or its answer is not JSON.
            UnreachableError: no answer, or none that is whole, after all tries.
            SceneError: the address, or where it redirects to, is not one of the catalog's hosts.
        """
        text = self.content(url, method, body, server_errors=server_errors)
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AnswerError(200, f"the answer is not JSON ({type(error).__name__})") from error

    def content(
        self,
        url: str,
        method: str = "GET",
        body: Mapping[str, Any] | None = None,
        largest: int = LARGEST,
        server_errors: int = TRIES,
    ) -> bytes:
        """The whole body that answers a request, at most `largest` bytes; raises as `json` does."""
        waited, failure = 0.0, _TransientError("it was not tried")
        for attempt in range(TRIES):
            if self._throttle:
                self._throttle()
            begun = time.monotonic()
            try:
                return self._once(url, method, body, largest)
            except _TransientError as error:
                failure = error
            if not failure.status:
                waited += time.monotonic() - begun  # a server that hangs is waited for too
            wait = min(failure.wait if failure.wait is not None else 0.5 * 2**attempt, self.max_wait - waited)
            tries = server_errors if failure.status >= 500 else TRIES
            if attempt + 1 >= tries or (attempt and wait <= 0):
                break
            asked = f"; it asks us to wait {failure.wait:.0f} s" if failure.wait is not None else ""
            log = logger.warning if wait >= 5 or failure.wait is not None else logger.info
            log("%s: %s%s; trying again in %.1f s", self.name, failure, asked, wait)
            time.sleep(max(wait, 0.0))
            waited += wait
        if failure.status:
            raise AnswerError(failure.status, f"the server answers {failure.status} after {attempt + 1} tries")
        raise UnreachableError(f"{failure} ({attempt + 1} tries)")

    def head(self, url: str, count: int) -> bytes:
        """The first `count` bytes of a file, in one try; raises as `json` does."""
        try:
            return self._once(url, "GET", None, LARGEST, count)
        except _TransientError as error:
            raise (AnswerError(error.status, str(error)) if error.status else UnreachableError(str(error))) from error

    def _once(
        self, url: str, method: str, body: Mapping[str, Any] | None, largest: int, count: int | None = None
    ) -> bytes:
        headers = {"Range": f"bytes=0-{count - 1}"} if count else {}
        for _ in range(6):
            self.hosts.check(url)
            try:
                with self._session.request(
                    method, url, json=body, headers=headers, timeout=self.timeout, stream=True, allow_redirects=False
                ) as answer:
                    if answer.status_code not in _REDIRECTS or "Location" not in answer.headers:
                        return _body(answer, largest) if count is None else _start(answer, count)
                    if answer.status_code == 303:
                        method, body = "GET", None
                    url = urljoin(url, answer.headers["Location"])
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise _TransientError(cause(error)) from error
        raise AnswerError(310, "the server redirects without end")


def _body(answer: requests.Response, largest: int) -> bytes:
    status = answer.status_code
    if status in PASSING:
        raise _TransientError(f"the server answers {status}", status, _seconds(answer.headers.get("Retry-After")))
    if not 200 <= status < 300:
        raise AnswerError(status, f"the server answers {status}")
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > largest:
        raise AnswerError(status, f"the answer is of {int(announced):,} bytes, of which {largest:,} are taken")
    begun, content = time.monotonic(), bytearray()
    for chunk in answer.iter_content(65_536):
        content += chunk
        if len(content) > largest:
            raise AnswerError(status, f"the answer is longer than the {largest:,} bytes that are taken")
        if time.monotonic() - begun > LONGEST:
            raise _TransientError(f"the answer is not complete after {LONGEST:.0f} s")
    return bytes(content)


def _start(answer: requests.Response, count: int) -> bytes:
    """The first bytes of an answer, whatever it is; a server may send the whole file where a part was asked for."""
    if answer.status_code in (200, 206):
        return bytes(next(answer.iter_content(count), b""))[:count]
    return _body(answer, 0)


def _seconds(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for; it may be a date too."""
    if retry_after is None:
        return None
    try:
        return urllib3.Retry().parse_retry_after(retry_after)
    except urllib3.exceptions.HTTPError:
        return None


def cause(error: BaseException) -> str:
    """The innermost reason in one line: libraries wrap `connection refused` in four layers."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    reason = getattr(error, "reason", None)
    return redacted(f"{type(error).__name__}: {reason or error}".splitlines()[0][:300])
