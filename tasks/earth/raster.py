"""Reading assets onto the global grid: open, check, and sample each source pixel at most once per read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
import rasterio
import rasterio.errors
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from tasks.core.errors import SceneError
from tasks.earth.catalog import Catalog
from tasks.earth.faults import fault
from tasks.earth.grid import Bounds, utm_epsg
from tasks.earth.radiometry import RadiometryError, Stored, to_physical
from tasks.earth.stores import store_of

logger = logging.getLogger(__name__)
GDAL = {
    # No requests for a listing of the folder or for side files: object stores answer them slowly, or refuse.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "5",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    "GDAL_HTTP_RETRY_CODES": "429,500,502,503,504",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
    # Blocks of one row follow one another in a COG: one request for all of them.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_CACHEMAX": 512,
    # Instances of a stage run side by side already.
    "GDAL_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class Asset:
    """One band of one scene, as its item describes it: physical value = number * scale + offset."""

    item_id: str
    key: str
    href: str
    nodata: float | None
    scale: float
    offset: float
    unit: str | None
    requester_pays: bool = False
    region: str | None = None

    @property
    def stored(self) -> Stored:
        """What is declared of its numbers."""
        return Stored(self.scale, self.offset, self.unit)


@dataclass(frozen=True)
class TargetGrid:
    """A north-up grid in the metres of a UTM zone that pixels are read onto."""

    epsg: int
    left: float
    top: float
    gsd: float
    width: int
    height: int

    @property
    def transform(self) -> Affine:
        """Affine from (column, row) to metres."""
        return Affine(self.gsd, 0, self.left, 0, -self.gsd, self.top)


def find_asset(item: pystac.Item, aliases: tuple[str, ...]) -> Asset | None:
    """The first asset of `item` under one of `aliases`, with its scaling; None if it has none of them."""
    key = next((alias for alias in aliases if alias in item.assets), None)
    if key is None:
        return None
    asset = item.assets[key]
    # `raster:bands` of the raster extension, or `bands` since STAC 1.1; some catalogs write the fields flat.
    described = (asset.extra_fields.get("raster:bands") or asset.extra_fields.get("bands") or [{}])[0]

    def field(name: str) -> Any:
        value = described.get(name, asset.extra_fields.get(name))
        return described.get(f"raster:{name}", asset.extra_fields.get(f"raster:{name}")) if value is None else value

    offset = float(field("offset") or 0.0)
    if offset and item.properties.get("earthsearch:boa_offset_applied") is True:
        offset = 0.0  # Earth Search leaves the offset in the metadata of pixels it has already shifted.
    nodata = field("nodata")
    return Asset(
        item_id=item.id,
        key=key,
        href=asset.href,
        nodata=None if nodata is None else float(nodata),
        scale=float(field("scale") or 1.0),
        offset=offset,
        unit=field("unit"),
        requester_pays=(store := store_of(item, asset)).requester_pays,
        region=store.region,
    )


@contextmanager
def open_asset(asset: Asset, catalog: Catalog) -> Iterator[DatasetReader]:
    """Open an asset for reading; failures become a SceneError with a reason that can be grouped by.

    Raises:
        SceneError: unreadable (missing, cut short, corrupt), not-a-raster, or no-crs.
        UnreachableError: the server does not answer, or with an error that may pass.
    """
    where = f"scene {asset.item_id}, asset {asset.key} ({asset.href})"
    try:
        with (
            rasterio.Env(**GDAL, **catalog.gdal_options(asset)),
            rasterio.open(url := catalog.href(asset.href), driver=_driver(asset.href)) as dataset,
        ):
            if dataset.crs is None and not dataset.gcps[0]:
                raise SceneError("no-crs", f"{where} has no coordinate system and no ground control points")
            yield dataset
    except rasterio.errors.RasterioError as error:
        raise fault(error, where, url) from error


def _driver(href: str) -> str:
    """The one driver a file may be read with: some GDAL drivers would follow a remote file to files of this machine."""
    return "JP2OpenJPEG" if href.partition("?")[0].lower().endswith(".jp2") else "GTiff"


def scene_epsg(dataset: DatasetReader) -> int:
    """The UTM zone a scene is worked in: the zone its centre lies in, as its own CRS writes that zone.

    A scene gridded in a neighbouring zone, as parts of tiles at a zone's edge are, is warped into the right one.
    """
    west, south, east, north = _lonlat_bounds(dataset)
    right = int(utm_epsg(np.array((west + east) / 2), np.array((south + north) / 2)))
    own = dataset.crs.to_epsg() if dataset.crs else None
    return int(own) if own and own - own % 100 in (32600, 32700) and own % 100 == right % 100 else right


def scene_bounds(dataset: DatasetReader, epsg: int) -> Bounds:
    """The scene's extent in the metres of `epsg`."""
    if dataset.crs is not None and dataset.crs.to_epsg() == epsg:
        return Bounds(*dataset.bounds)
    return Bounds(*transform_bounds("EPSG:4326", f"EPSG:{epsg}", *_lonlat_bounds(dataset)))


def _lonlat_bounds(dataset: DatasetReader) -> tuple[float, float, float, float]:
    if dataset.crs is None:
        # Sentinel-1 GRD has no transform, only a grid of tie points: their extent is the scene's.
        points, crs = dataset.gcps
        xs, ys = [p.x for p in points], [p.y for p in points]
        box = (min(xs), min(ys), max(xs), max(ys))
        west, south, east, north = transform_bounds(crs, "EPSG:4326", *box)
    else:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    return west, south, east, north


def read_onto(
    dataset: DatasetReader, target: TargetGrid, nodata: float | None
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Band 1 on the pixels of `target`.

    A scene in the target's own zone is sampled to the nearest source pixel, never interpolated; any other
    (another CRS, ground control points) is warped bilinearly.

    Returns:
        Numbers as stored, [height, width], and which of them are valid.

    Raises:
        SceneError: the bytes behind the pixels are missing or corrupt.
        UnreachableError: the server does not give them just now.
    """
    # The file knows better than the item: catalogs are written by hand or for a whole collection.
    nodata = dataset.nodata if dataset.nodata is not None else nodata
    try:
        if dataset.crs is not None and dataset.crs.to_epsg() == target.epsg and dataset.transform.b == 0:
            values, inside = _sample(dataset, target)
        else:
            values, inside = _warp(dataset, target, nodata)
    except rasterio.errors.RasterioError as error:
        raise fault(error, dataset.name, dataset.name) from error
    valid = inside & np.isfinite(values) if values.dtype.kind == "f" else inside
    if nodata is not None and np.isfinite(nodata):
        valid &= values != values.dtype.type(nodata)
    return values, valid


def _sample(dataset: DatasetReader, target: TargetGrid) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    columns, columns_inside = _nearest(
        target.left, target.gsd, target.width, dataset.transform.c, dataset.transform.a, dataset.width
    )
    rows, rows_inside = _nearest(
        # Northings fall as rows rise: negated, both axes are the same sum.
        -target.top,
        target.gsd,
        target.height,
        -dataset.transform.f,
        -dataset.transform.e,
        dataset.height,
    )
    inside = np.outer(rows_inside, columns_inside)
    if not inside.any():
        return np.zeros(inside.shape, dtype=dataset.dtypes[0]), inside
    window = Window(columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    # One window around all pixels wanted, then the pixels out of it: no block is fetched twice.
    block = dataset.read(1, window=window)
    return block[np.ix_(rows - rows[0], columns - columns[0])], inside


def _nearest(
    start: float, step: float, count: int, source_start: float, source_step: float, source_count: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Source pixel under the centre of each target pixel along one axis, and whether there is one."""
    centres = start + (np.arange(count) + 0.5) * step
    # A centre on the border of two pixels must not fall to the one before it by rounding.
    index = np.floor((centres - source_start) / source_step + 1e-9).astype(np.int64)
    return np.clip(index, 0, source_count - 1), (index >= 0) & (index < source_count)


def _warp(dataset: DatasetReader, target: TargetGrid, nodata: float | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    options: dict[str, Any] = {
        "crs": f"EPSG:{target.epsg}",
        "transform": target.transform,
        "width": target.width,
        "height": target.height,
        "resampling": Resampling.bilinear if dataset.dtypes[0] != "uint8" else Resampling.nearest,
        "add_alpha": True,
    }
    if dataset.crs is None:
        options["src_crs"] = dataset.gcps[1]
    # Either marks what the warp did not cover: nodata where there is one, else an alpha band.
    if nodata is not None:
        options |= {"src_nodata": nodata, "nodata": nodata, "add_alpha": False}
    with WarpedVRT(dataset, **options) as warped:
        values = warped.read(1)
        inside = warped.dataset_mask() > 0
    return values, inside


def calibrate(values: NDArray[Any], valid: NDArray[np.bool_], asset: Asset, unit: str) -> NDArray[np.float32]:
    """Physical values of an asset's numbers as `tasks.earth.radiometry` reads them, NaN where not valid.

    Args:
        values: numbers as stored, [height, width].
        valid: which of them are.
        asset: its scale, offset and unit.
        unit: what the sensor's chips are in, reflectance or dB.

    Raises:
        SceneError: the numbers cannot be what the item says, or could be two things.
    """
    try:
        return to_physical(values, valid, asset.stored, unit, f"scene {asset.item_id}, asset {asset.key}")
    except RadiometryError as error:
        raise SceneError("radiometry", str(error)) from error
