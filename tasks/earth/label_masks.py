"""Where in a window a label lies: a small mask, and boxes in fractions of the window from its north-west corner."""

import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Cells along either side of a mask: the resolution at which labels of our sensors are measured (twice the GSD)."""
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2: fractions of the window from its north-west corner, x to the east and y to the south."""


def pack(plane: NDArray[np.bool_]) -> bytes:
    """(SIDE, SIDE) booleans, row 0 in the north, as SIDE * SIDE / 8 bytes, row by row, the first cell highest."""
    return np.packbits(plane).tobytes()


def unpack(mask: bytes) -> NDArray[np.bool_]:
    """What `pack` wrote, (SIDE, SIDE)."""
    return np.unpackbits(np.frombuffer(mask, np.uint8)).astype(bool).reshape(SIDE, SIDE)
