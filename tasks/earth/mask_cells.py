"""Masks of labels as whole numbers, a bit a cell: sets of a thousand cells that Python compares in a microsecond.

The highest of the SIDE * SIDE bits is the north-west cell and the lowest the south-east one, row by row, as
`tasks.earth.label_masks.pack` writes them.
"""

import numpy as np
from numpy.typing import NDArray

from tasks.earth.label_masks import SIDE, pack

ALL = (1 << SIDE * SIDE) - 1
WEST = sum(1 << (SIDE * row + SIDE - 1) for row in range(SIDE))
"""The first column."""
EAST = sum(1 << (SIDE * row) for row in range(SIDE))
COLUMN_BITS, ROW_BITS = (
    tuple(
        sum(1 << (SIDE * SIDE - 1 - cell) for cell in range(SIDE * SIDE) if (cell // step % SIDE) >> bit & 1)
        for bit in range(SIDE.bit_length() - 1)
    )
    for step in (1, SIDE)
)
"""Cells whose column, or row, has a bit set: five counts of cells add up all columns."""


def cells_of(plane: NDArray[np.bool_]) -> int:
    """The cells of a plane, (SIDE, SIDE), row 0 in the north."""
    return int.from_bytes(pack(plane), "big")


def grown(cells: int) -> int:
    """Cells and all those beside them, over the sides and the corners."""
    rows = cells | ((cells & ~WEST) << 1) | ((cells & ~EAST) >> 1)
    return rows | (rows << SIDE & ALL) | rows >> SIDE


def grown_over_sides(cells: int) -> int:
    """Cells and those beside them, over the sides alone."""
    return cells | ((cells & ~WEST) << 1) | ((cells & ~EAST) >> 1) | (cells << SIDE & ALL) | cells >> SIDE


def centre_of(cells: int) -> tuple[float, float]:
    """(x, y) of the centre of mass of some cells, fractions of the window from its north-west corner."""
    count = cells.bit_count()
    x, y = (
        (sum((cells & mask).bit_count() << bit for bit, mask in enumerate(bits)) / count + 0.5) / SIDE
        for bits in (COLUMN_BITS, ROW_BITS)
    )
    return x, y
