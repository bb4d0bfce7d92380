"""Telling a scene that is damaged from a server that cannot be reached just now.

The first is quarantined: it will be as damaged tomorrow. The second must not be: a stage that finished without the
scene would be cached by DVC, and the hole that an outage made would stay in the dataset unseen.
"""

import re
from urllib.parse import urljoin

import requests

from tasks.core.errors import SceneError, UnreachableError
from tasks.core.redaction import redacted
from tasks.earth import stores
from tasks.earth.hosts import Hosts
from tasks.earth.stores import Store

__all__ = ["fault", "first_byte", "redacted", "validators"]
GONE = {404, 410}
NOT_A_RASTER = "not recognized as being in a supported file format"
"""What GDAL says of bytes that are of another format than its driver's."""
NETWORK = re.compile(r"CURL error|resolve host|Connection (refused|reset)|timed? ?out", re.IGNORECASE)
REFUSED = re.compile(
    r"Access ?Denied|SlowDown|reduce your request rate|InternalError|Service ?Unavailable|RequestTimeout|Forbidden|"
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|RequestTimeTooSkewed|security credentials",
    re.IGNORECASE,
)
"""What stores call an answer that is not about the object: their codes, or the sentences that go with them."""


def fault(error: Exception, what: str, url: str, store: Store | None = None) -> SceneError | UnreachableError:
    """What a failed open or read means, after the retries that GDAL has made.

    Args:
        error: what rasterio or pyogrio said.
        what: the scene and asset, for the message.
        url: where the bytes come from, as GDAL was given it.
        store: how the object is asked for, if it lies in a store; None: as the GDAL options in force say.
    """
    chain = [str(one) for one in _causes(error)]
    text = chain[-1] if len(chain) > 1 else chain[0]
    status = next((int(found[1]) for one in chain if (found := re.search(r"HTTP response code: (\d+)", one))), None)
    if status is None and "file format" not in text and not any(REFUSED.search(one) for one in chain):
        status = _ask(url, store)  # GDAL says that a read failed, but not why
    refused = status is None and any(REFUSED.search(one) or NETWORK.search(one) for one in chain)
    if status not in (None, 200, 206, 416, *GONE) or refused:
        reason = f"the server answers {status}" if status else text
        return UnreachableError(
            redacted(
                f"{what} cannot be reached: {reason}. What was finished is kept: run the same command again later. If "
                "it lasts, see whether the catalog wants credentials (`earthloom catalog probe`), or leave the scene's "
                "dates out."
            )
        )
    reason = "not-a-raster" if NOT_A_RASTER in text else "unreadable"
    return SceneError(reason, redacted(f"{what}: {text}"))


def validators(answer: requests.Response | None) -> str | None:
    """What an answer says of the version of a file: its entity tag, time of change and length; None: nothing."""
    if answer is None or not answer.ok:
        return None
    length = answer.headers.get("Content-Range") or answer.headers.get("Content-Length")
    said = [answer.headers.get("ETag"), answer.headers.get("Last-Modified"), length]
    return " ".join(filter(None, said)) if any(said[:2]) else None


def first_byte(url: str, hosts: Hosts | None = None) -> requests.Response | None:
    """The answer to a request for the first byte, for its status and headers; None if there is none at all.

    Args:
        url: http or https.
        hosts: where redirects may lead; None: they are not followed.

    Raises:
        SceneError: a redirect leads elsewhere.
    """
    try:
        for _ in range(6):
            with requests.get(
                url, headers={"Range": "bytes=0-0"}, timeout=10, stream=True, allow_redirects=False
            ) as answer:
                if not answer.is_redirect or hosts is None:
                    return answer
                url = hosts.check(urljoin(url, answer.headers["Location"]))
    except requests.RequestException:
        return None
    return None


def _ask(url: str, store: Store | None) -> int | None:
    if url.startswith("/vsis3/"):
        return stores.status(store or stores.active(), f"s3://{url.removeprefix('/vsis3/')}")
    if url.startswith("http"):
        answer = first_byte(url)
        # GDAL has followed a redirect, which was looked at before: what it led to is not known here.
        return 503 if answer is None or answer.is_redirect else answer.status_code
    return None


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found
