"""The land mask: GLOBE at 30 arc seconds, as the package global-land-mask carries it.

The package's own module unpacks the whole mask, 0.9 GB, on import. Only the rows that are asked for are read here.
"""

import zipfile
from functools import cache
from importlib.metadata import files
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

ROWS, COLUMNS = 21600, 43200
"""Pixels of the mask, from the north pole and from 180 degrees west."""
CHUNK = 270


@cache
def _archive() -> Path:
    found = [file for file in files("global-land-mask") or [] if file.name.endswith(".npz")]
    return Path(str(found[0].locate()))


@cache
def _rows(first: int, last: int) -> NDArray[np.bool_]:
    """Rows [first, last) of the mask, True on land: the mask itself is True over the ocean."""
    with zipfile.ZipFile(_archive()) as archive, archive.open("mask.npy") as stream:
        npy.read_magic(stream)
        shape, fortran, dtype = npy.read_array_header_1_0(stream)
        if shape != (ROWS, COLUMNS) or fortran or dtype != np.bool_:
            raise ValueError(f"{_archive()} holds a mask of {shape} {dtype}, not of ({ROWS}, {COLUMNS}) booleans")
        for start in range(0, first, CHUNK):
            stream.read(min(CHUNK, first - start) * COLUMNS)
        wanted = stream.read((last - first) * COLUMNS)
    return ~np.frombuffer(wanted, dtype=np.bool_).reshape(last - first, COLUMNS)


def is_land(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each place is land."""
    row = np.clip(np.floor((90 - latitude) * ROWS / 180).astype(np.int64), 0, ROWS - 1)
    column = np.floor((longitude + 180) * COLUMNS / 360).astype(np.int64) % COLUMNS
    # Whole chunks, so that the blocks of one scene share what was read.
    first, last = int(row.min()) // CHUNK * CHUNK, min(ROWS, (int(row.max()) // CHUNK + 1) * CHUNK)
    return np.asarray(_rows(first, last)[row - first, column])
