"""Patches of BigEarthNet by their name: a folder with a file for each band, or one file of all bands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from tasks.core import arrays
from tasks.earth import geotiff, pictures
from tasks.earth.display_sensors import known_sensor
from tasks.published.images import checked
from tasks.published.own.image_sources import Found, ReadImage, content_of_file, file_below, stamp_of
from tasks.published.own.picture_files import MAX_DECODED, check_size
from tasks.published.registry import Published
from tasks.published.repairs import Notes, RowError
from tasks.vlm.sensor_of_file import read_date

PATCH = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+")
WHOLE = (".tif", ".npy")
"""Ends of the name of a file that holds all bands of a patch."""


@dataclass(frozen=True)
class PatchFolder:
    """Patches below a folder: in it, or in folders of the product that they were cut from, as the archive has them."""

    roots: Sequence[Path]
    entry: Published
    """Bands in storage order, scale."""

    def find(self, reference: str) -> Found:
        """See `ImageSource`."""
        if not PATCH.fullmatch(reference):
            raise RowError("unsafe-path", f"{reference[:80]!r} is no name of a patch")
        # A patch is called like its product, with its tile and place after it.
        folders = ["", *(f"{name}/" for name in accumulate(reference.split("_"), lambda a, b: f"{a}_{b}"))]
        files = self._one(folders, reference) or self._bands(folders, reference)
        if not files:
            raise RowError("missing-image", f"there is neither a folder nor a file of the patch {reference}")
        stamps = [stamp_of(path) for path in files]
        return Found(
            reference, f"{reference}:{[stamp for stamp, _ in stamps]}", files, size=sum(size for _, size in stamps)
        )

    def _one(self, folders: Sequence[str], patch: str) -> tuple[Path, ...]:
        names = [f"{folder}{patch}{end}" for folder in folders for end in WHOLE]
        names = [name for name in names if any((root / name).is_file() for root in self.roots)]
        if len(names) > 1:
            raise RowError("ambiguous-image", f"the patch {patch} is in {' and '.join(names[:2])}")
        return tuple(file_below(self.roots, name) for name in names)

    def _bands(self, folders: Sequence[str], patch: str) -> tuple[Path, ...]:
        names = [f"{folder}{patch}" for folder in folders]
        there = [name for name in names if any((root / name).is_dir() for root in self.roots)]
        if len(there) > 1:
            raise RowError("ambiguous-image", f"the patch {patch} is in {' and '.join(there[:2])}")
        return tuple(
            file_below(self.roots, f"{name}/{patch}_{band}.tif") for name in there for band in self.entry.stored_bands
        )

    def read(self, found: Found, notes: Notes) -> ReadImage:
        """See `ImageSource`."""
        planes = [self._planes(path) for path in found.files]
        rows, columns = (max(plane.shape[axis] for plane in planes) for axis in (1, 2))
        for path, plane in zip(found.files, planes, strict=True):
            if rows % plane.shape[1] or columns % plane.shape[2] or rows // plane.shape[1] != columns // plane.shape[2]:
                raise RowError("size-mismatch", f"{path.name} has {plane.shape[1:]} pixels beside {(rows, columns)}")
        # Coarser bands are repeated, which invents no value.
        pixels = np.concatenate(
            [plane.repeat(rows // plane.shape[1], axis=1).repeat(columns // plane.shape[2], axis=2) for plane in planes]
        )
        count = len(self.entry.stored_bands)
        if len(pixels) != count:
            raise RowError("wrong-bands", f"{found.name} has {len(pixels)} bands; {count} are needed")
        image = checked(pixels.astype(np.float32), self.entry, notes)
        return ReadImage(image, read_date(found.name))

    def _planes(self, path: Path) -> NDArray[np.generic]:
        """(bands, H, W) as stored."""
        content = content_of_file(path)
        if path.suffix == ".npy":
            return _array(content, path.name, len(self.entry.stored_bands))
        if pictures.format_of(content[:16]) != "tiff":
            raise RowError("undecodable", f"{path.name} is no TIFF")
        check_size(content, path.name, display=False)
        try:
            raster = geotiff.decode(content, pictures.DRIVERS["tiff"], path.name)
        except RasterioError as error:
            raise RowError("undecodable", f"{path.name} cannot be read: {error.__cause__ or error}") from error
        return self._ordered(raster)

    def _ordered(self, raster: geotiff.Raster) -> NDArray[np.generic]:
        """Bands of a file that names them, in storage order."""
        sensor, wanted = known_sensor(self.entry.sensor), self.entry.stored_bands
        named = [sensor.band_called(text) for text in raster.bands]
        if len(wanted) == len(named) and set(named) == set(wanted):
            return raster.pixels[[named.index(band) for band in wanted]]
        return raster.pixels


def _array(content: bytes, name: str, count: int) -> NDArray[np.generic]:
    """(count, H, W) of a file that numpy saved; nothing is unpickled, and its size is asked before it is read."""
    try:
        shape, kind = arrays.header(content)
    except arrays.NotNumbersError as error:
        raise RowError("wrong-type", f"{name}: {error}") from error
    except arrays.ArrayError as error:
        raise RowError("undecodable", f"{name}: {error}") from error
    if len(shape) != 3 or count not in (shape[0], shape[2]) or shape[0] == shape[2]:
        raise RowError("wrong-bands", f"{name} is an array of {shape}; {count} bands first or last are needed")
    if int(np.prod(shape, dtype=np.float64)) * max(kind.itemsize, 4) > MAX_DECODED:
        raise RowError("too-large", f"{name} is an array of {shape}; {MAX_DECODED:,} bytes at most")
    try:
        array = arrays.read(content, MAX_DECODED)
    except arrays.ArrayError as error:
        raise RowError("undecodable", f"{name}: {error}") from error
    return array if shape[0] == count else np.moveaxis(array, 2, 0)
