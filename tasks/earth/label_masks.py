"""Where in a window a label lies: a small mask, and boxes in fractions of the window from its north-west corner."""

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.transform import Affine

if TYPE_CHECKING:
    from tasks.earth.blocks import Block

SIDE = 32
"""Cells along either side of a mask: the resolution at which labels of our sensors are measured (twice the GSD)."""
MOST_BOXES = 100
"""Boxes of a label that are kept, the largest; its count says how many there are."""
DECIMALS = 4
"""Of a box: a tenth of the units that boxes in text have."""
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2: fractions of the window from its north-west corner, x to the east and y to the south."""


def pack(plane: NDArray[np.bool_]) -> bytes:
    """(SIDE, SIDE) booleans, row 0 in the north, as SIDE * SIDE / 8 bytes, row by row, the first cell highest."""
    return np.packbits(plane).tobytes()


def unpack(mask: bytes) -> NDArray[np.bool_]:
    """What `pack` wrote, (SIDE, SIDE)."""
    return np.unpackbits(np.frombuffer(mask, np.uint8)).astype(bool).reshape(SIDE, SIDE)


def resized(tiles: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Planes of windows, (N, side, side), on the cells of masks: (N, SIDE, SIDE).

    A cell holds what most of it holds; what holds nowhere the most of a cell, but is there, keeps its fullest cell.
    """
    side = tiles.shape[-1]
    if side == SIDE or not len(tiles):
        return tiles.reshape(-1, SIDE, SIDE)
    edges = np.linspace(0, side, SIDE + 1)
    low, high = np.floor(edges[:-1]).astype(int), np.ceil(edges[1:]).astype(int)
    # Shares from sums over all pixels above and left: no loop over cells, whatever the ratio of the sides.
    sums = np.zeros((len(tiles), side + 1, side + 1), np.int64)
    sums[:, 1:, 1:] = tiles.cumsum(1).cumsum(2)
    inside = sums[:, high][:, :, high] - sums[:, low][:, :, high] - sums[:, high][:, :, low] + sums[:, low][:, :, low]
    shares = inside / ((high - low)[:, None] * (high - low)[None])
    out: NDArray[np.bool_] = shares > 0.5
    lost = np.flatnonzero(tiles.any((1, 2)) & ~out.any((1, 2)))
    out.reshape(len(tiles), -1)[lost, shares.reshape(len(tiles), SIDE**2)[lost].argmax(1)] = True
    return out


def burned(block: "Block", shapes: NDArray[Any], lines: bool = False) -> NDArray[np.bool_]:
    """Shapes in the metres of a block's zone as one plane for each of its windows, (windows, SIDE, SIDE).

    Args:
        block: the windows.
        shapes: shapely geometries.
        lines: whether every cell that a shape touches is its own, else those whose centre it holds.
    """
    cell = block.grid.size / SIDE
    columns = int(block.columns.max() - block.columns.min() + 1) * SIDE
    rows = int(block.rows.max() - block.rows.min() + 1) * SIDE
    left, top = block.columns.min() * block.grid.size, (block.rows.max() + 1) * block.grid.size
    transform = Affine(cell, 0, left, 0, -cell, top)
    drawn = [shape for shape in shapes if not shape.is_empty]
    if not drawn:
        return np.zeros((len(block.columns), SIDE, SIDE), bool)
    from rasterio.features import rasterize

    plane = rasterize(drawn, (rows, columns), transform=transform, all_touched=lines, dtype="uint8")
    return block.cut(plane.astype(bool))


def cell_of(x: float, y: float) -> tuple[int, int]:
    """(row, column) of the cell that holds a place in fractions of the window."""
    return min(max(int(y * SIDE), 0), SIDE - 1), min(max(int(x * SIDE), 0), SIDE - 1)


def boxes(block: "Block", window: int, parts: NDArray[Any]) -> list[list[float]]:
    """Boxes around features cut to a window, the largest first.

    Args:
        block: the windows.
        window: number of the window in the block.
        parts: what lies in it of each feature, in metres.
    """
    size = float(block.grid.size)
    left, top = block.columns[window] * size, (block.rows[window] + 1) * size
    edges = shapely.bounds(parts).reshape(-1, 4)
    fractions = np.stack([edges[:, 0] - left, top - edges[:, 3], edges[:, 2] - left, top - edges[:, 1]], axis=1) / size
    fractions = fractions.clip(0, 1).round(DECIMALS)
    area = (fractions[:, 2] - fractions[:, 0]) * (fractions[:, 3] - fractions[:, 1])
    # Features of one size in one order, whatever order their file had.
    order = np.lexsort((*fractions.T[::-1], -area))[:MOST_BOXES]
    return [[float(value) for value in row] for row in fractions[order]]
