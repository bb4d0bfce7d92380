"""Chips from the shards of one part, in whatever order they are asked for."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tasks.core import tables
from tasks.core.errors import DamagedFileError
from tasks.earth import geotiff

KEPT = 8
"""Row groups that are kept: chips are asked for in about the order of the shards."""


class ChipSource:
    """Chips by their id; several threads may ask."""

    def __init__(self, folder: Path, columns: Sequence[str] = ("pixels",)) -> None:
        """Index the shards of a folder; only the names of chips are read.

        Args:
            folder: of the shards.
            columns: that `row` gives.

        Raises:
            MissingInputError: there are no shards.
        """
        self._lock = threading.Lock()
        self._places: dict[str, tuple[Path, int, int]] = {}
        self._groups: OrderedDict[tuple[Path, int], list[dict[str, Any]]] = OrderedDict()
        self._columns = list(columns)
        for path in sorted(folder.glob("shard-*.parquet")):
            with tables.whole(path), pq.ParquetFile(path) as file:
                sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
                names = file.read(columns=["chip_id"])["chip_id"].to_pylist()
                places = [(path, number, row) for number, size in enumerate(sizes) for row in range(size)]
                self._places |= dict(zip(names, places, strict=True))

    def row(self, chip_id: str) -> dict[str, Any]:
        """The columns of one chip.

        Raises:
            DamagedFileError: no shard holds the chip.
        """
        if chip_id not in self._places:
            raise DamagedFileError(f"no shard holds chip {chip_id}, which has labels; rebuild stage `chips`")
        path, number, row = self._places[chip_id]
        with self._lock:
            return self._group(path, number)[row]

    def planes(self, chip_id: str) -> dict[str, NDArray[np.float32]]:
        """(H, W) of each band of a chip by its name, calibrated, NaN where there is no data.

        Raises:
            DamagedFileError: no shard holds the chip, or its pixels cannot be read.
        """
        content = self.row(chip_id)["pixels"]
        raster = geotiff.decode(content, what=f"chip {chip_id} in {self._places[chip_id][0]}")
        return {
            name: plane.astype(np.float32, copy=False) for name, plane in zip(raster.bands, raster.pixels, strict=True)
        }

    def shard(self, chip_id: str) -> str:
        """Name of the shard that holds a chip, which `row` has given."""
        return self._places[chip_id][0].name

    def _group(self, path: Path, number: int) -> list[dict[str, Any]]:
        key = (path, number)
        if key not in self._groups:
            with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
                self._groups[key] = file.read_row_group(number, columns=self._columns).to_pylist()
        self._groups.move_to_end(key)
        while len(self._groups) > KEPT:
            self._groups.popitem(last=False)
        return self._groups[key]
