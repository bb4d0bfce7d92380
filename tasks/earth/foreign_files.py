"""Rasters that others made: opened with the driver their bytes call for, and led nowhere by them."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader, MemoryFile

STRICT = {
    # Otherwise the missing part of a damaged JPEG is filled with grey, and only a warning is logged.
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    # No file beside the one that is opened is looked for: no .aux.xml, .ovr, .msk, .tfw.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
}
LEADS = ("OVERVIEWS",)
"""Domains of metadata in which GDAL lets a file name another one, and reads that in its place."""


class LeadsElsewhereError(RasterioIOError):  # type: ignore[misc]
    """A raster whose metadata have GDAL read another file, or an address, in place of its own pixels."""


def refuse_leads(dataset: DatasetReader) -> None:
    """Refuse a raster that leads to other files. To be called before anything of it is read.

    Raises:
        LeadsElsewhereError: its metadata name a file to be read for it.
    """
    for domain in LEADS:
        if named := dataset.tags(ns=domain):
            raise LeadsElsewhereError(
                f"its metadata ({domain}: {', '.join(sorted(named))}) name another file to be read in its place, "
                "which is not followed; write it anew with `gdal_translate -co COPY_SRC_MDD=NO`"
            )


@contextmanager
def opened_raster(source: Path | bytes, driver: str) -> Iterator[DatasetReader]:
    """A raster for reading, of a file or of the bytes of one.

    Args:
        source: the file, or its bytes.
        driver: of GDAL, the only one it is tried with: some follow a file to other files.

    Raises:
        RasterioError: it is none of that driver, is cut short, or leads elsewhere.
    """
    with warnings.catch_warnings(), rasterio.Env(**STRICT):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        if isinstance(source, bytes):
            with MemoryFile(source) as memory, memory.open(driver=driver) as dataset:
                refuse_leads(dataset)
                yield dataset
        else:
            with rasterio.open(source, driver=driver) as dataset:
                refuse_leads(dataset)
                yield dataset
