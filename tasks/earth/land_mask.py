"""The land mask: GLOBE at 30 arc seconds (NOAA, public domain), as the package global-land-mask 1.0.0 carries it.

That package's file is one stream of 0.9 GB when unpacked. Here it is bits, in parts of some rows each that are unpacked
by themselves: `python -m samples.land` makes the table, 1 MB.
"""

from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

ROWS, COLUMNS = 21600, 43200
"""Pixels of the mask, from the north pole and from 180 degrees west."""
PART = 135
"""Rows of a part: one row group of the table each."""
TABLE = Path(__file__).with_name("land.parquet")


@cache
def _table() -> pq.ParquetFile:
    return pq.ParquetFile(TABLE)


@lru_cache(maxsize=8)
def _part(number: int) -> NDArray[np.uint8]:
    """Rows of one part, [PART, COLUMNS / 8]: a bit is 1 on land, the highest of a byte in the west."""
    content = _table().read_row_group(number, ["bits"])["bits"][0].as_py()
    return np.frombuffer(content, np.uint8).reshape(PART, COLUMNS // 8)


def is_land(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each place is land, [places]."""
    row = np.clip(np.floor((90 - latitude) * (ROWS / 180)).astype(np.int64), 0, ROWS - 1)
    column = np.floor((longitude + 180) * (COLUMNS / 360)).astype(np.int64) % COLUMNS
    part, row = np.divmod(row, PART)
    byte = np.empty(row.shape, np.uint8)
    for number in range(int(part.min()), int(part.max()) + 1) if row.size else ():
        own = part == number
        if own.all():
            byte = _part(number)[row, column >> 3]
        elif own.any():
            byte[own] = _part(number)[row[own], column[own] >> 3]
    return (byte >> (7 - (column & 7)).astype(np.uint8) & 1).astype(bool)
