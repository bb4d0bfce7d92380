"""What GDAL and the GeoTIFF standard keep in the tags of a directory: place, names, scale, offset, no data, checksums.

Anything that GDAL is under finds them: rasterio's `descriptions`, `scales`, `offsets`, `nodata`, `transform`, `crs`.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import xxhash
from defusedxml import ElementTree
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tasks.earth.layers import Layer

Tag = tuple[int, int, int, Any, bool]
"""Code, type and count of a tag, its value, and whether only the first directory has it; as tifffile takes them."""
CHECKSUM = "PIXELS_XXH3_128"
"""Item of each band: the hash of its numbers and of what says how they are read. Whoever decodes them checks it."""
ORDER = "BANDS"
"""Item of the first directory: the names of all bands of the image, in their order, as JSON."""
PIXEL_SCALE, TIEPOINT, TRANSFORMATION = 33550, 33922, 34264
GEO_KEYS = (34735, 34736, 34737)
METADATA, NODATA = 42112, 42113
_ASCII, _DOUBLE = 2, 12


@dataclass(frozen=True)
class BandTags:
    """What the tags of a directory say of one of its bands."""

    name: str
    scale: float
    offset: float
    checksum: str


def tags_of(layer: Layer, order: Sequence[str], transform: Affine, crs: str | None) -> list[Tag]:
    """Tags of the directory of a layer.

    Args:
        layer: its bands and numbers.
        order: names of all bands of the image, for its first directory; of another nothing.
        transform: affine from (column, row) of the layer to the coordinates of `crs`.
        crs: such as "EPSG:32631"; none for an image that lies nowhere on Earth.
    """
    tags: list[Tag] = [] if crs is None and transform == Affine.identity() else _place(transform)
    tags += _geo_keys(crs) if crs else ()
    items = [_item(ORDER, json.dumps(list(order)))] if order else []
    for sample, (name, scale, offset) in enumerate(zip(layer.bands, layer.scales, layer.offsets, strict=True)):
        items.append(_item("DESCRIPTION", name, sample, "description"))
        if (scale, offset) != (1, 0):
            items += [_item("OFFSET", repr(float(offset)), sample, "offset")]
            items += [_item("SCALE", repr(float(scale)), sample, "scale")]
        items.append(_item(CHECKSUM, checksum(layer, sample), sample))
    tags.append((METADATA, _ASCII, 0, f"<GDALMetadata>\n{''.join(items)}</GDALMetadata>\n", False))
    if layer.pixels.dtype.kind == "f" or not np.isnan(layer.nodata):
        tags.append((NODATA, _ASCII, 0, f"{layer.nodata:.17g}", False))
    return tags


def read_metadata(text: str) -> tuple[list[str], list[BandTags]]:
    """Names of all bands of the image, if it is the first directory, and what is said of the directory's own.

    Raises:
        ValueError: the text is not what `tags_of` writes.
    """
    order, found = "[]", dict[int, dict[str, str]]()
    for item in ElementTree.fromstring(text):
        sample, name, value = item.get("sample"), item.get("name", ""), item.text or ""
        if sample is not None:
            found.setdefault(int(sample), {})[name] = value
        elif name == ORDER:
            order = value
    bands = []
    for _, items in sorted(found.items()):
        scale, offset = float(items.get("SCALE", 1)), float(items.get("OFFSET", 0))
        bands.append(BandTags(items.get("DESCRIPTION", ""), scale, offset, items.get(CHECKSUM, "")))
    return [str(name) for name in json.loads(order)], bands


def checksum(layer: Layer, band: int) -> str:
    """Of the numbers of a band, and of its name, scale, offset and no data: a changed scale is a changed value."""
    plane: NDArray[Any] = np.ascontiguousarray(layer.pixels[band])
    says = [layer.bands[band], str(plane.dtype), plane.shape, *map(float, (layer.scales[band], layer.offsets[band]))]
    seen = xxhash.xxh3_128(repr((*says, float(layer.nodata))).encode())
    seen.update(plane.data)
    return seen.hexdigest()


def _item(name: str, value: str, sample: int | None = None, role: str = "") -> str:
    where = "" if sample is None else f' sample="{sample}"'
    return f'  <Item name="{name}"{where}{role and f" role={chr(34)}{role}{chr(34)}"}>{escape(value)}</Item>\n'


def _place(transform: Affine) -> list[Tag]:
    """North up as nearly every reader knows it, else the whole affine."""
    a, b, c, d, e, f = transform[:6]
    if b == d == 0 and a > 0 > e:
        return [(PIXEL_SCALE, _DOUBLE, 3, (a, -e, 0.0), False), (TIEPOINT, _DOUBLE, 6, (0, 0, 0, c, f, 0), False)]
    matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return [(TRANSFORMATION, _DOUBLE, 16, matrix, False)]


@lru_cache(maxsize=256)
def _geo_keys(crs: str) -> tuple[Tag, ...]:
    """The keys of a coordinate system, as GDAL writes them into an image of one pixel."""
    from tifffile import TiffFile

    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 1, "width": 1, "crs": crs}
        with memory.open(**profile, transform=Affine(2, 0, 0, 0, -2, 0)):
            pass
        with TiffFile(io.BytesIO(memory.read())) as file:
            found = [file.pages.first.tags.get(code) for code in GEO_KEYS]
    return tuple((tag.code, int(tag.dtype), 0 if tag.dtype == _ASCII else tag.count, tag.value, False)
                 for tag in found if tag is not None)  # fmt: skip
