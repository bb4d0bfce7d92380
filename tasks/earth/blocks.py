"""Windows of one scene, worked in super-cells: large squares whose pixels are read once and cut into windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.earth.grid import SUPER_CELL, WindowGrid
from tasks.earth.raster import TargetGrid

LARGEST_BLOCK = 4096
"""Pixels along a side of what is read together, at most: 64 MB a band."""


@dataclass(frozen=True)
class Block:
    """Windows of one scene that are read together."""

    grid: WindowGrid
    columns: NDArray[np.int64]
    rows: NDArray[np.int64]

    def target(self, gsd: float) -> TargetGrid:
        """The pixels that cover all windows of the block at `gsd` metres, a whole number of them a window."""
        size, side = self.grid.size, self.grid.pixels(gsd)
        return TargetGrid(
            epsg=self.grid.epsg,
            left=float(self.columns.min() * size),
            top=float((self.rows.max() + 1) * size),
            gsd=size / side,
            width=int(self.columns.max() - self.columns.min() + 1) * side,
            height=int(self.rows.max() - self.rows.min() + 1) * side,
        )

    def cut(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A plane [..., height, width] on `target` as windows [windows, ..., side, side], without a copy loop."""
        side = plane.shape[-1] // int(self.columns.max() - self.columns.min() + 1)
        *lead, height, width = plane.shape
        tiles = plane.reshape(*lead, height // side, side, width // side, side)
        # Two axes of a grid of windows to the front; only the last step copies.
        tiles = np.moveaxis(tiles, (-4, -2), (0, 1))
        # Rows are counted from the south, pixels from the north.
        return np.asarray(tiles[self.rows.max() - self.rows, self.columns - self.columns.min()])


def blocks_of(
    windows: pl.DataFrame, window_cells: int, cell: int, gsd: float = 10.0
) -> Iterator[tuple[Block, pl.DataFrame]]:
    """Blocks of one scene's windows, zone by zone, each with the rows of its windows in the block's order.

    Args:
        windows: has `epsg`, `column` and `row`, the place of a window on the grid of its zone.
        window_cells: side of a window in cells of the global grid.
        cell: side of a cell in metres.
        gsd: metres a pixel of what will be read.
    """
    for (epsg,), group in windows.group_by("epsg", maintain_order=True):
        grid = WindowGrid(int(str(epsg)), cell * window_cells)
        for block in blocks(grid, group["column"].to_numpy(), group["row"].to_numpy(), window_cells, gsd):
            places = pl.DataFrame({"column": block.columns, "row": block.rows})
            yield block, places.join(group, on=["column", "row"], how="left", maintain_order="left")


def blocks(
    grid: WindowGrid, columns: NDArray[np.int64], rows: NDArray[np.int64], cells: int, gsd: float = 10.0
) -> Iterator[Block]:
    """Group windows by super-cell, from the north-west, row of super-cells by row: the order of a COG's blocks.

    Args:
        grid: the windows' grid.
        columns, rows: of the windows.
        cells: side of a window in cells of the global grid.
        gsd: metres a pixel of what will be read: a square of fine pixels is cut smaller, or it would not fit in memory.
    """
    side = max(1, min(SUPER_CELL, int(LARGEST_BLOCK * gsd * cells / grid.size)))
    # Ascending keys then run from north to south, as a file's blocks do.
    key = np.stack([-(rows * cells // side), columns * cells // side], axis=1)
    _, inverse = np.unique(key, axis=0, return_inverse=True)
    inverse = inverse.ravel()
    for index in range(inverse.max() + 1 if len(inverse) else 0):
        members = inverse == index
        yield Block(grid, columns[members], rows[members])
