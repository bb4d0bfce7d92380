"""Data URLs: the bytes of a picture as text that stands in a page or in a request."""

import base64
import binascii
import io
import re
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG = "image/png"
_HEAD = re.compile(r"\s*data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.IGNORECASE)
PICTURES = re.compile(r"image/(?!svg)[\w.+-]+|application/(octet-stream|x-[\w.+-]+|geotiff)|", re.IGNORECASE)
"""Types under which pictures are sent, an empty one too. Which format it is, its bytes say and not its type."""
_OF_ADDRESSES = str.maketrans("-_", "+/")
_SHOWN = 40
"""Characters of an address that an error repeats."""


class DataURLError(ValueError):
    """Not a data URL of a picture; `is_address` where it is not one at all."""

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


def content_of(url: str) -> bytes:
    """The bytes of a picture's data URL, in every spelling that clients use: the type in capitals, parameters beside
    it, base64 with line breaks, of the alphabet for addresses, percent-encoded or without its padding.

    Raises:
        DataURLError: it is an address or a path, another kind of file, or not base64.
    """
    match = _HEAD.match(url)
    if match is None or not PICTURES.fullmatch(match["type"].strip()):
        shown = url[:_SHOWN] + ("..." if len(url) > _SHOWN else "")
        raise DataURLError(
            f"'{shown}' is not an image this server opens; send data:<type>;base64,<bytes> with <type> such as "
            "image/png, image/jpeg or image/tiff",
            is_address=True,
        )
    if "base64" not in match["parameters"].lower().replace(" ", "").split(";"):
        raise DataURLError("the data URL is not base64: it needs ;base64 before the comma", is_address=True)
    text = url[match.end() :]
    if "%" in text:
        text = unquote(text)
    text = "".join(text.split()).rstrip("=").translate(_OF_ADDRESSES)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataURLError(f"the data URL is not base64 ({error})", is_address=False) from error
