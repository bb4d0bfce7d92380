"""Pictures for the page: arrays to PNG bytes, the same for the same array, and data URIs."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(picture: NDArray[np.uint8]) -> bytes:
    """PNG of an [height, width, 3 or 4] picture."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    return content.getvalue()


def data_uri(png: bytes) -> str:
    """The picture as text that stands in the page itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
