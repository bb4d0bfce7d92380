"""Arrays that numpy saved, from others: nothing is unpickled, and their size is asked before memory is taken."""

import io
from math import prod

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray


class ArrayError(ValueError):
    """A file that holds no array of numbers, or too large a one; says why."""


class NotNumbersError(ArrayError):
    """A file of objects or of texts."""


def header(data: bytes) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Shape and type of an array by the beginning of its file.

    Raises:
        ArrayError: it is no file that numpy saved.
        NotNumbersError: it holds objects.
    """
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read_header(file)
    except (ValueError, EOFError) as error:
        raise ArrayError(f"no file that numpy saved: {error}") from error
    if kind.hasobject or kind.kind not in "uif":
        raise NotNumbersError(f"it holds {kind}, not numbers")
    if min(shape, default=0) < 0:
        raise ArrayError(f"an array of {shape}")
    return shape, kind


def read(data: bytes, most: int) -> NDArray[np.generic]:
    """The array.

    Args:
        data: all bytes of the file.
        most: bytes that it may take in memory.

    Raises:
        ArrayError: as `header`, or it is larger than that.
    """
    shape, kind = header(data)
    if prod(shape) * kind.itemsize > most:
        raise ArrayError(f"an array of {shape}, {prod(shape) * kind.itemsize:,} bytes; {most:,} at most")
    if prod(shape) * kind.itemsize > len(data):
        raise ArrayError(f"an array of {shape} by its header, which {len(data):,} bytes cannot hold; it is cut short")
    try:
        array: NDArray[np.generic] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ArrayError(f"it is cut short: {error}") from error
    return array
