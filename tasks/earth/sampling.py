"""Picking pixels out of a window of a file: the nearest one, or bilinearly between the four around a place.

Places are counted in pixels from the corner of the first pixel, so that a pixel's centre lies at a half.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

Places = NDArray[np.float64]
Sampled = tuple[NDArray[Any], NDArray[np.bool_]]
CLOSE = 1e-4
"""Pixels; what two grids that fit may differ by after rounding."""


def on_pixels(places: Places) -> bool:
    """Whether the nearest pixel is the right one all along an axis.

    It is where each place is a pixel's centre, and where the places divide each pixel alike, as 10 m do 20 m. Where it
    is not, the nearest pixel always lies on the same side, which moves the image by up to half a pixel.
    """
    if len(places) == 0:
        return True
    offset = places - np.floor(places) - 0.5
    if np.abs(offset).max() < CLOSE:
        return True
    step = abs(places[-1] - places[0]) / max(len(places) - 1, 1)
    parts = round(1 / step) if 0 < step < 1 else 0
    # Edges of source pixels are edges of target pixels: the first corner of a place lies on a multiple of the step.
    corner = (places[0] - step / 2) / step if step else 0.5
    return bool(parts and abs(1 / step - parts) < CLOSE and abs(corner - round(corner)) < CLOSE * parts)


def window(columns: Places, rows: Places, width: int, height: int, margin: int) -> Window | None:
    """The window of a file that holds all places in it, with a margin for their neighbours; None if none is in it.

    Args:
        columns, rows: places, NaN where there is none.
        width, height: of the file.
        margin: pixels around.
    """
    with np.errstate(invalid="ignore"):
        if columns.shape == rows.shape and columns.ndim == 2:
            inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
            columns, rows = columns[inside], rows[inside]
        else:
            columns, rows = columns[(columns >= 0) & (columns < width)], rows[(rows >= 0) & (rows < height)]
    if not columns.size or not rows.size:
        return None
    left, right = int(np.floor(columns.min())) - margin, int(np.floor(columns.max())) + margin + 1
    top, bottom = int(np.floor(rows.min())) - margin, int(np.floor(rows.max())) + margin + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    return Window(left, top, right - left, bottom - top)


def whole(window: Window, step: int, width: int, height: int) -> Window:
    """The window, grown to whole squares of `step` pixels where the file of `width` x `height` has them, else cut."""
    left, across = _whole_steps(window.col_off, window.width, step, width)
    top, down = _whole_steps(window.row_off, window.height, step, height)
    return Window(left, top, across, down)


def _whole_steps(start: int, count: int, step: int, end: int) -> tuple[int, int]:
    if count < step:
        return start, count
    grown = -(-count // step) * step
    start = min(start, end - grown)
    return (start, grown) if start >= 0 else (0, end // step * step)


def step(columns: Places, rows: Places) -> int:
    """How many pixels of the file lie between two places, whole and at least one."""
    across = np.hypot(np.diff(columns, axis=1), np.diff(rows, axis=1))
    down = np.hypot(np.diff(columns, axis=0), np.diff(rows, axis=0))
    distances = [np.nanmedian(one) for one in (across, down) if one.size and np.isfinite(one).any()]
    return max(1, int(min(distances))) if distances else 1


def nearest(values: NDArray[Any], valid: NDArray[np.bool_], columns: Places, rows: Places) -> Sampled:
    """The pixel that each place lies in, places of their own [height, width]."""
    height, width = values.shape
    column, row = _whole(columns), _whole(rows)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
    return values[index], valid[index] & inside


def nearest_on_axes(values: NDArray[Any], valid: NDArray[np.bool_], columns: Places, rows: Places) -> Sampled:
    """The pixel that each crossing of `rows` and `columns` lies in; where they are the pixels' own, without a copy."""
    for axis, places in ((0, rows), (1, columns)):
        index, count = _whole(places), values.shape[axis]
        if np.array_equal(index, np.arange(count)):
            continue
        first = int(index[0])
        if np.array_equal(index, np.arange(first, first + len(index))):
            # Pixel by pixel, with places before the first or beyond the last.
            values, valid = (_shifted(plane, first, len(index), axis) for plane in (values, valid))
            continue
        clipped = np.clip(index, 0, count - 1)
        values, valid = values.take(clipped, axis), valid.take(clipped, axis)
        if (outside := np.flatnonzero(clipped != index)).size:
            valid[(slice(None),) * axis + (outside,)] = False
    return values, valid


def _shifted(plane: NDArray[Any], first: int, count: int, axis: int) -> NDArray[Any]:
    """Pixels `first` to `first + count` along an axis, 0 where there are none."""
    shape = list(plane.shape)
    shape[axis] = count
    out = np.zeros(shape, plane.dtype)
    start, end = max(first, 0), min(first + count, plane.shape[axis])
    lead = (slice(None),) * axis
    out[(*lead, slice(start - first, end - first))] = plane[(*lead, slice(start, end))]
    return out


def bilinear(values: NDArray[Any], valid: NDArray[np.bool_], columns: Places, rows: Places) -> Sampled:
    """Between the four pixels around each place, of those that are valid; valid where half their weight is.

    Whole numbers are rounded to whole numbers: at most half a step of the instrument.
    """
    height, width = values.shape
    inside = (columns >= 0) & (columns <= width) & (rows >= 0) & (rows <= height)
    columns, rows = np.nan_to_num(columns, nan=0.0) - 0.5, np.nan_to_num(rows, nan=0.0) - 0.5
    left, top = np.floor(columns), np.floor(rows)
    right_share, bottom_share = (columns - left).astype(np.float32), (rows - top).astype(np.float32)
    total = np.zeros(np.broadcast_shapes(columns.shape, rows.shape), np.float32)
    weight = np.zeros_like(total)
    for down, row_share in ((0, 1 - bottom_share), (1, bottom_share)):
        for across, column_share in ((0, 1 - right_share), (1, right_share)):
            row = np.clip(top.astype(np.int64) + down, 0, height - 1)
            column = np.clip(left.astype(np.int64) + across, 0, width - 1)
            share = row_share * column_share * valid[row, column]
            total += np.where(share > 0, share * values[row, column].astype(np.float32), np.float32(0))
            weight += share
    return _weighed(total, weight, inside, values.dtype)


def bilinear_on_axes(values: NDArray[Any], valid: NDArray[np.bool_], columns: Places, rows: Places) -> Sampled:
    """The same for each crossing of `rows` and `columns`, one axis after the other."""
    inside = np.logical_and.outer((rows >= 0) & (rows <= len(values)), (columns >= 0) & (columns <= values.shape[1]))
    whole = bool(valid.all())
    total = values.astype(np.float32) if whole else np.where(valid, values, values.dtype.type(0)).astype(np.float32)
    total = _along(_along(total, rows, 0), columns, 1)
    if whole:
        return _weighed(total, np.float32(1), inside, values.dtype)
    return _weighed(total, _along(_along(valid.astype(np.float32), rows, 0), columns, 1), inside, values.dtype)


def _along(values: NDArray[np.float32], places: Places, axis: int) -> NDArray[np.float32]:
    """Values at places along one axis, linearly between pixels."""
    before = np.floor(places - 0.5)
    share = (places - 0.5 - before).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    first = np.clip(before.astype(np.int64), 0, values.shape[axis] - 1)
    second = np.clip(before.astype(np.int64) + 1, 0, values.shape[axis] - 1)
    out = values.take(first, axis)
    out *= 1 - share
    out += values.take(second, axis) * share
    return out


def _weighed(
    total: NDArray[np.float32],
    weight: NDArray[np.float32] | np.float32,
    inside: NDArray[np.bool_],
    dtype: np.dtype[Any],
) -> Sampled:
    kept = inside & (weight >= 0.5 - CLOSE)
    sampled = total if np.ndim(weight) == 0 else total / np.where(kept, weight, np.float32(1))
    if dtype.kind not in "iu":
        return sampled, kept
    # Rounding must not lift 255 beyond what its type can hold.
    limits = np.iinfo(dtype)
    return np.clip(np.rint(sampled), limits.min, limits.max).astype(dtype), kept


def _whole(places: Places) -> NDArray[np.int64]:
    # A place on the border of two pixels must not fall to the one before it by rounding.
    return np.floor(np.where(np.isfinite(places), places + 1e-6, -1)).astype(np.int64)
