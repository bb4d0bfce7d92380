"""Telling a scene that is damaged from a server that cannot be reached just now.

The first is quarantined: it will be as damaged tomorrow. The second must not be: a stage that finished without the
scene would be cached by DVC, and the hole that an outage made would stay in the dataset unseen.
"""

import re

import requests

from tasks.core.errors import SceneError, UnreachableError

GONE = {404, 410}
NOT_A_RASTER = "not recognized as being in a supported file format"
"""What GDAL says of bytes that are of another format than its driver's."""
NETWORK = re.compile(r"CURL error|resolve host|Connection (refused|reset)|timed? ?out", re.IGNORECASE)


def fault(error: Exception, what: str, url: str) -> SceneError | UnreachableError:
    """What a failed open or read means, after the retries that GDAL has made.

    Args:
        error: what rasterio or pyogrio said.
        what: the scene and asset, for the message.
        url: where the bytes come from.
    """
    chain = [str(one) for one in _causes(error)]
    text = chain[-1] if len(chain) > 1 else chain[0]
    status = next((int(found[1]) for one in chain if (found := re.search(r"HTTP response code: (\d+)", one))), None)
    if status is None and url.startswith("http") and "file format" not in text:
        answer = _first_byte(url)  # GDAL tells of a read that failed, but not why
        status = 503 if answer is None else answer.status_code
    if status not in (None, 200, 206, 416, *GONE) or (status is None and NETWORK.search(text)):
        reason = f"the server answers {status}" if status else text
        return UnreachableError(
            f"{what} cannot be reached: {reason}. What was finished is kept: run the same command again later. If it "
            "lasts, see whether the catalog wants credentials (`earthloom doctor`), or leave the scene's dates out."
        )
    reason = "not-a-raster" if NOT_A_RASTER in text else "unreadable"
    return SceneError(reason, f"{what}: {text}")


def version(url: str) -> str | None:
    """What a server says of the version of a file: its entity tag, time of change and length.

    None where it says nothing, or gives no answer: then whether the file has changed is unknown. Objects of a
    store that is not asked over HTTP are taken as they are named: their keys are those of finished products.
    """
    if not url.startswith("http"):
        return url
    answer = _first_byte(url)
    if answer is None or not answer.ok:
        return None
    length = answer.headers.get("Content-Range") or answer.headers.get("Content-Length")
    validators = [answer.headers.get("ETag"), answer.headers.get("Last-Modified"), length]
    return " ".join(filter(None, validators)) if any(validators[:2]) else None


def _first_byte(url: str) -> requests.Response | None:
    """The answer to a request for the first byte, for its status and headers; None if there is none at all."""
    try:
        with requests.get(url, headers={"Range": "bytes=0-0"}, timeout=10, stream=True) as answer:
            return answer
    except requests.RequestException:
        return None


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found
