"""A picture as a viewer shows it: three colours of 8 bits, upright, and where it is not transparent.

What is wholly transparent has no data; what is half so lies on white, as a page shows it. Of 16 bits the higher 8 are
shown. Colour profiles are not applied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tasks.earth.picture_files import (
    MOST_PIXELS,
    PictureError,
    is_sideways,
    levels,
    never,
    opened_picture,
    orientation,
    planes,
    upright,
)
from tasks.earth.pictures import palette_of
from tasks.earth.shrunk_rasters import check_cost, read_shrunk

Shape = Callable[[int, int], tuple[int, int]]
"""(rows, columns) to show of an image of (width, height)."""
WHITE = 255
INKS = (ColorInterp.cyan, ColorInterp.magenta, ColorInterp.yellow, ColorInterp.black)
DARK = 1 << 14
"""Numbers of 16 bits that reach no higher are of an instrument of fewer bits, and as they are would be shown black."""


@dataclass(frozen=True)
class ShownPicture:
    """What a viewer shows of a picture."""

    colours: NDArray[np.uint8]
    """(3, H, W): red, green, blue; of no meaning where it is not valid."""
    valid: NDArray[np.bool_]
    """(H, W); False where it is transparent."""
    width: int
    """Columns of the file, upright."""
    height: int
    """Rows of the file, upright."""
    changed: tuple[str, ...] = ()
    """What was done besides, for people."""


def shown(
    source: Path | bytes,
    name: str,
    shape: Shape,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> ShownPicture:
    """A PNG, JPEG, WebP, GIF or BMP, no larger than wanted.

    A JPEG that is shown smaller is decoded smaller, at an eighth, a quarter or half; everything else is decoded once,
    and averaged.

    Args:
        source: a file, or the bytes of one.
        name: the format that its first bytes tell.
        shape: how large to show it.
        most_pixels: it may have by its header.
        cancelled: whether nobody waits any longer.

    Raises:
        PictureError: it is damaged, cut short, or too large.
        ReadingStoppedError: `cancelled` said so.
    """
    with opened_picture(source, name, most_pixels, cancelled) as picture:
        turned = orientation(picture)
        size = picture.size[::-1] if is_sideways(turned) else picture.size
        rows, columns = shape(*size)
        wanted = (rows, columns) if is_sideways(turned) else (columns, rows)
        kinds = [_KINDS.get(picture.mode, "")]
        if name == "jpeg" and wanted != picture.size:
            picture.draft(None, wanted)
        picture.load()
        seen = levels(picture)
        if wanted != seen.size:
            seen = seen.resize(wanted, Image.Resampling.BOX)
        seen = upright(seen, turned)
    kinds.append("turned upright" if turned != 1 else "")
    return _composed(planes(seen), size, tuple(filter(None, kinds)))


_KINDS = {
    "P": "its palette looked up",
    "PA": "its palette looked up",
    "CMYK": "its inks turned into light",
    "I": "of 16 bits the higher 8",
    "I;16": "of 16 bits the higher 8",
    "I;16B": "of 16 bits the higher 8",
}
"""Mode of Pillow -> what is done to it."""


def _composed(levels: NDArray[np.uint8], size: tuple[int, int], changed: tuple[str, ...]) -> ShownPicture:
    """Colours of one, two, three or four levels: grey or red, green and blue, and how opaque they are."""
    opaque = levels[-1] if len(levels) in (2, 4) else None
    colours = levels[: len(levels) - (opaque is not None)]
    if len(colours) == 1:
        colours = np.repeat(colours, 3, axis=0)
    valid = np.ones(colours.shape[1:], dtype=np.bool_) if opaque is None else opaque > 0
    if opaque is not None and ((opaque > 0) & (opaque < WHITE)).any():
        wide = opaque.astype(np.uint16)
        colours = ((colours * wide + WHITE * (WHITE - wide) + WHITE // 2) // WHITE).astype(np.uint8)
        changed = (*changed, "half transparent parts laid on white")
    if not valid.all():
        changed = (*changed, "transparent parts left out")
    return ShownPicture(colours, valid, *size, changed)


def shown_raster(
    dataset: DatasetReader,
    turned: int,
    shape: Shape,
    most_pixels: int = MOST_PIXELS,
    cancelled: Callable[[], bool] = never,
) -> ShownPicture:
    """A TIFF or JPEG 2000 of levels of 8 or 16 bits, of one to four bands, no larger than wanted.

    Args:
        dataset: opened.
        turned: EXIF's orientation, 1 where the file lies on Earth.
        shape: how large to show it.
        most_pixels: that may be decoded for it.
        cancelled: whether nobody waits any longer.

    Raises:
        PictureError: it cannot be read, or is too large.
        ReadingStoppedError: `cancelled` said so.
    """
    sideways = is_sideways(turned)
    size = (dataset.height, dataset.width) if sideways else (dataset.width, dataset.height)
    rows, columns = shape(*size)
    wanted = (columns, rows) if sideways else (rows, columns)
    changed: tuple[str, ...] = ()
    try:
        check_cost(dataset, wanted, most_pixels)
        is_palette = dataset.colorinterp[0] == ColorInterp.palette
        # Between two numbers of a palette there is nothing.
        resampling = Resampling.nearest if is_palette else Resampling.average
        values, there = read_shrunk(dataset, dataset.indexes, wanted, resampling, cancelled)
    except RasterioError as error:
        raise PictureError(str(error.__cause__ or error)) from error
    if is_palette:
        values, changed = palette_of(dataset)[:, values[0]], ("its palette looked up",)
        there = np.repeat(there[:1], 4, axis=0)
    elif dataset.dtypes[0] == "uint16":
        values, changed = _of_16_bits(values, there)
    else:
        values = values.astype(np.uint8) * np.uint8(_step(dataset))
    if dataset.colorinterp == INKS:
        light = (WHITE - values[:3].astype(np.uint16)) * (WHITE - values[3].astype(np.uint16))
        values, there = ((light + WHITE // 2) // WHITE).astype(np.uint8), there[:3]
        changed = (*changed, "its inks turned into light")
    if not is_palette and dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        values = WHITE - values
    values, changed = _without_infrared(values, is_palette or ColorInterp.alpha in dataset.colorinterp, changed)
    if turned != 1:
        flat = [np.asarray(upright(Image.fromarray(plane), turned)) for plane in (*values, there.any(axis=0))]
        values, there, changed = np.stack(flat[:-1]), flat[-1][None].astype(np.bool_), (*changed, "turned upright")
    picture = _composed(np.ascontiguousarray(values), size, changed)
    return ShownPicture(picture.colours, picture.valid & there.any(axis=0), *size, picture.changed)


def _step(dataset: DatasetReader) -> int:
    """What one level of a file of fewer than 8 bits is of 255."""
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    return WHITE // (2**bits - 1) if bits < 8 else 1


def _of_16_bits(values: NDArray[np.generic], there: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The higher 8 bits; of numbers that use fewer bits, what lies between their second and 98th percentile."""
    wide = values.astype(np.uint16)
    brightest = int(wide[there].max(initial=0))
    if brightest >= DARK:
        return (wide >> 8).astype(np.uint8), ("of 16 bits the higher 8",)
    low, high = (float(bound) for bound in np.quantile(wide[there], (0.02, 0.98))) if there.any() else (0.0, 1.0)
    scaled = np.clip((wide.astype(np.float32) - low) / max(high - low, 1), 0, 1) * WHITE
    return scaled.round().astype(np.uint8), (
        f"its numbers, which reach {brightest} of 65535, stretched from {low:g} (black) to {high:g} (white)",
    )


def _without_infrared(
    values: NDArray[np.uint8], alpha: bool, changed: tuple[str, ...]
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Without a fourth band that is measured: writers call the near infrared alpha, too."""
    if len(values) != 4:
        return values, changed
    clear = np.isin(values[3], (0, WHITE)).mean() > 0.5
    if alpha and clear:
        return values, changed
    return values[:3], (*changed, "its fourth band, near infrared it seems, left out")
