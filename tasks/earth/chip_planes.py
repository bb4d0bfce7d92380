"""The planes of a chip out of its row of a shard, by the names of its bands."""

from collections.abc import Collection
from typing import Any

from numpy.typing import NDArray
from rasterio.errors import RasterioError

from tasks.core.errors import DamagedFileError
from tasks.earth import geotiff


def planes_of(content: bytes, what: str, bands: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """(H, W) of each band, in physical units, NaN where there is no data; a band without a name has the empty one.

    Args:
        content: the GeoTIFF of a chip.
        what: it is called, for the message: chip and shard.
        bands: that are wanted; None for all. One that the chip does not hold is not among the planes.

    Raises:
        DamagedFileError: it cannot be read.
        ChecksumError: it holds other pixels than were written.
    """
    try:
        raster = geotiff.decode(content, what=what, bands=bands)
    except RasterioError as error:
        raise DamagedFileError(
            f"{what}: its pixels are not a readable GeoTIFF ({error}); rebuild stage `chips`"
        ) from error
    return dict(zip(raster.bands, raster.pixels, strict=True))
