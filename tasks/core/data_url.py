"""Data URLs: the bytes of a picture as text that stands in a page or in a request."""

import base64
import binascii
import io
import re
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG = "image/png"
_HEAD = re.compile(r"data:([^;,]*);base64,")


class DataURLError(ValueError):
    """Not a data URL of an accepted type; `is_address` where it is not a data URL at all."""

    def __init__(self, message: str, is_address: bool) -> None:
        super().__init__(message)
        self.is_address = is_address


def data_url(content: bytes, mime: str = PNG) -> str:
    """The bytes as a data URL."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def png_url(picture: NDArray[np.uint8]) -> str:
    """A picture, (H, W, 3), as PNG in a data URL."""
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG")
    return data_url(png.getvalue())


def content_of(url: str, mimes: Collection[str]) -> bytes:
    """The bytes of a data URL.

    Args:
        url: as it was sent.
        mimes: kinds of file that are taken.

    Raises:
        DataURLError: it is an address or a path, another kind of file, or not base64.
    """
    match = _HEAD.match(url)
    if match is None or match[1] not in mimes:
        shown = url[:40] + ("..." if len(url) > 40 else "")
        raise DataURLError(
            f"'{shown}' is not an image this server opens; send data:<type>;base64,<bytes> with <type> one of "
            f"{', '.join(mimes)}",
            is_address=True,
        )
    try:
        return base64.b64decode(url[match.end() :], validate=True)
    except binascii.Error as error:
        raise DataURLError(f"the data URL is not base64 ({error})", is_address=False) from error
