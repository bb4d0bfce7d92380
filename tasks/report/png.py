"""Pictures for the page: arrays to PNG bytes, the same on every machine, and data URIs."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def encode(picture: NDArray[np.uint8]) -> bytes:
    """PNG of an [height, width, 3 or 4] picture; each row filtered by its difference to the one above."""
    height, width, channels = picture.shape
    above = np.concatenate([np.zeros((1, width, channels), np.uint8), picture[:-1]])
    rows = (picture - above).reshape(height, width * channels)
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6 if channels == 4 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def data_uri(png: bytes) -> str:
    """The picture as text that stands in the page itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def size(png: bytes) -> tuple[int, int]:
    """(width, height) of a PNG, from its header."""
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)
