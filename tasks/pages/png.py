"""Pictures for the page: arrays to PNG bytes, the same for the same array."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(picture: NDArray[np.uint8]) -> bytes:
    """PNG of an [height, width, 3 or 4] picture."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG", optimize=True)
    return content.getvalue()
