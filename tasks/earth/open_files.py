"""Opening the files of assets: checked before a pixel is read, and each band found in its file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import rasterio
import rasterio.errors
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog
from tasks.earth.faults import NOT_A_RASTER, fault
from tasks.earth.foreign_files import refuse_leads
from tasks.earth.geolocation import Geolocation, geolocation
from tasks.earth.sentinel1 import LARGEST, Annotation, annotation

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
    # Of what a server has sent, kept beside what is read at once: it lies scattered between decoded blocks, so that it
    # costs more than its size. With 10 MB heads of files are fetched again before their blocks are.
    "CPL_VSIL_CURL_CACHE_SIZE": str(12 * 2**20),
    # Instances of a stage run side by side already.
    "GDAL_NUM_THREADS": "1",
}
BLOCK_CACHE = 288 * 2**20
"""Bytes of decoded blocks that GDAL keeps: two rows of blocks of all bands of a Sentinel-2 tile have 254 MB. Rasterio
takes bytes, where GDAL itself would read a small number as MB."""
DRIVERS = ("GTiff", "JP2OpenJPEG")
"""The drivers a file may be read with, by its content: others would follow a remote file to files of this machine."""
LARGEST_FILE_BLOCK = 512_000_000
"""Bytes that one block of a file may unfold to. A whole tile of Sentinel-2 in one strip is 241 MB."""


@dataclass(frozen=True)
class OpenAsset:
    """An asset opened for reading."""

    asset: Asset
    dataset: DatasetReader
    where: str
    """Scene, asset and address, for errors."""
    place: Geolocation
    band: int
    """Number of the band in the file, from 1."""
    annotation: Annotation | None = None
    """Turns the counts of a radar into power before they are sampled: power has means, counts of speckle have none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of GDAL, to be set wherever it is read."""

    # What the file says is asked once, when it is opened: after a read that failed rasterio may raise its error again
    # from any other question.
    @cached_property
    def masked(self) -> bool:
        """Whether the file has a mask of its own; an alpha band is another."""
        flags = self.dataset.mask_flag_enums[self.band - 1]
        return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    @cached_property
    def alpha(self) -> int | None:
        """Number of the band that says which pixels are there; None where there is none."""
        return _alpha(self.dataset, self.asset)

    @cached_property
    def nodata(self) -> float | None:
        """The number that the file says is no data."""
        declared: float | None = self.dataset.nodatavals[self.band - 1]
        return declared

    @cached_property
    def averaged_here(self) -> bool:
        """Whether GDAL would leave pixels out of its means that are measured: where one band is 0, or alpha by name."""
        called_alpha = ColorInterp.alpha in self.dataset.colorinterp and self.alpha is None
        return self.asset.no_data_in_all or called_alpha

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers in the file."""
        dtype: np.dtype[Any] = np.dtype(self.dataset.dtypes[self.band - 1])
        return dtype


@contextmanager
def open_asset(asset: Asset, catalog: Catalog) -> Iterator[OpenAsset]:
    """Open an asset for reading; failures become a SceneError with a reason that can be grouped by.

    Raises:
        SceneError: unreadable (missing, cut short, corrupt), not-a-raster, no-crs, missing-band, too-large, or gsd.
        UnreachableError: the server does not answer, or with an error that may pass.
    """
    with open_bands([asset], catalog) as (opened,):
        yield opened


@contextmanager
def open_bands(assets: Sequence[Asset], catalog: Catalog) -> Iterator[list[OpenAsset]]:
    """Open the bands of one file together, with GDAL's options set in this thread; errors as of `open_asset`.

    Args:
        assets: of one href.
        catalog: they are of.
    """
    opened = opened_bands(assets, catalog)
    try:
        with rasterio.Env(**opened[0].options, GDAL_CACHEMAX=BLOCK_CACHE), opened[0].dataset:
            yield opened
    except rasterio.errors.RasterioError as error:
        raise fault(error, opened[0].where, opened[0].dataset.name, catalog.store(assets[0])) from error


def opened_bands(assets: Sequence[Asset], catalog: Catalog) -> list[OpenAsset]:
    """The same for the caller to close, and to be read by any thread, one at a time, with `options` set there."""
    asset = assets[0]
    catalog.require_unchanged(asset)
    url = catalog.href(asset.href)
    where = _where(asset)
    options = {**GDAL, **catalog.gdal_options(asset)}
    try:
        with rasterio.Env(**options):
            dataset = _opened(url)
            try:
                place = geolocation(dataset, where)
                opened = []
                for one in assets:
                    band, radar = _band(dataset, one, _where(one)), _annotation(one, dataset, catalog, where)
                    opened.append(OpenAsset(one, dataset, _where(one), place, band, radar, options))
                    _check(opened[-1])
            except BaseException:
                dataset.close()
                raise
            return opened
    except rasterio.errors.RasterioError as error:
        raise fault(error, where, url, catalog.store(asset)) from error


def _where(asset: Asset) -> str:
    return f"scene {asset.item_id}, asset {asset.key} ({asset.href})"


def _opened(url: str) -> DatasetReader:
    """A file opened with that one of `DRIVERS` that knows its content; its name decides only which is tried first."""
    first, second = DRIVERS[:: -1 if url.partition("?")[0].lower().endswith(".jp2") else 1]
    try:
        dataset = rasterio.open(url, driver=first)
    except rasterio.errors.RasterioIOError as error:
        if NOT_A_RASTER not in str(error):
            raise
        dataset = rasterio.open(url, driver=second)
    try:
        refuse_leads(dataset)
    except rasterio.errors.RasterioIOError:
        dataset.close()
        raise
    return dataset


def _band(dataset: DatasetReader, asset: Asset, where: str) -> int:
    """The number of an asset's band in its file."""
    descriptions = [str(name or "").strip().lower() for name in dataset.descriptions]
    found = [number for number, name in enumerate(descriptions, 1) if name and name in asset.names]
    if asset.band is None:
        # An item that says nothing of bands: the file's own names, or its only band, or the sensor's order.
        if len(found) == 1 or (dataset.count == 1 and not asset.places):
            return found[0] if found else 1
        place = _place(dataset, asset)
        if place is not None and not found and not any(descriptions):
            return place
        raise SceneError(
            "missing-band",
            f"{where} holds {dataset.count} bands ({', '.join(filter(None, descriptions)) or 'none has a name'}), of "
            f"which {len(found) or 'none'} can be {asset.names[0]} (called {', '.join(asset.names)})",
        )
    if asset.band > dataset.count:
        raise SceneError("missing-band", f"{where} holds {dataset.count} bands; band {asset.band} is asked for")
    if dataset.count > 1 and len(found) == 1 and found[0] != asset.band:
        logger.warning("%s: band %d by its item, %d by its own names, which count", where, asset.band, found[0])
        return found[0]
    return asset.band


def _place(dataset: DatasetReader, asset: Asset) -> int | None:
    """The place of a band in a file of as many bands as its sensor has, with or without a band of alpha."""
    places, alpha = dict(asset.places), _alpha(dataset, asset)
    count = dataset.count
    return places.get(count) or (places.get(count - 1) if alpha == count else None)


def _alpha(dataset: DatasetReader, asset: Asset) -> int | None:
    """The band of a file that says which of its pixels are there.

    Files of red, green, blue and near infrared call their fourth alpha, for that is what GDAL takes four bands of 8 bit
    for: a band that is measured is none.
    """
    for number in range(dataset.count, 0, -1):
        called = str(dataset.descriptions[number - 1] or "").strip().lower()
        measured = number in asset.measured or dataset.count in dict(asset.places)
        other = measured or called not in ("", "alpha", "mask")
        if dataset.colorinterp[number - 1] is ColorInterp.alpha and not other:
            return number
    return None


def _annotation(asset: Asset, dataset: DatasetReader, catalog: Catalog, where: str) -> Annotation | None:
    if asset.annotation is None:
        return None
    calibration, noise = (
        None if href is None else catalog.content(replace(asset, href=href), LARGEST) for href in asset.annotation
    )
    assert calibration is not None
    return annotation(calibration, noise, dataset.width, dataset.height, where)


def _check(opened: OpenAsset) -> None:
    """Refuse a file that would not fit in memory, or is coarser than its band; and ask what it says of itself."""
    _ = opened.masked, opened.alpha, opened.nodata, opened.averaged_here
    height, width = opened.dataset.block_shapes[opened.band - 1]
    # Pixel-interleaved files decode all bands of a block together.
    bands = opened.dataset.count if str(opened.dataset.interleaving or "").lower().endswith("pixel") else 1
    unfolded = height * width * opened.dtype.itemsize * bands
    if unfolded > LARGEST_FILE_BLOCK:
        raise SceneError(
            "too-large",
            f"{opened.where}: one block of {width} x {height} pixels takes {unfolded / 1e6:.0f} MB of memory, more "
            f"than the {LARGEST_FILE_BLOCK / 1e6:.0f} MB allowed; write the file anew as a COG of blocks of 512 pixels",
        )
    coarsest = opened.asset.coarsest
    if coarsest and opened.place.gsd > coarsest:
        raise SceneError(
            "gsd",
            f"{opened.where}: its pixels are {opened.place.gsd:.0f} m wide, and no more than {coarsest:g} m is taken "
            "for the band: it is a preview or decimated, and chips would show less than they say (grid.max_gsd_ratio)",
        )
