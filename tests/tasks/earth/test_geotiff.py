"""tasks/earth/geotiff.py: what goes in comes out, in the same bytes."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tasks.earth import geotiff

RNG = np.random.default_rng(0)
FLOATS = RNG.random((2, 24, 17), dtype=np.float32)
BYTES = RNG.integers(0, 255, (3, 24, 17)).astype(np.uint8)
PLACE = Affine(10, 0, 500_000, 0, -10, 4_500_000)


@pytest.mark.parametrize("compress", [geotiff.DEFLATE, geotiff.ZSTD])
@pytest.mark.parametrize("pixels", [FLOATS, BYTES], ids=["float", "byte"])
def test_pixels_and_names_come_back_and_the_same_bytes_are_written_again(pixels: np.ndarray, compress: dict) -> None:
    names = tuple("abc"[: len(pixels)])
    content = geotiff.encode(pixels, names, PLACE, "EPSG:32631", compress)
    raster = geotiff.decode(content)
    assert raster.bands == names
    assert raster.pixels.dtype == pixels.dtype and np.array_equal(raster.pixels, pixels)
    assert geotiff.encode(raster.pixels, raster.bands, PLACE, "EPSG:32631", compress) == content


def test_floats_have_no_data_as_nan_and_display_values_have_none() -> None:
    holes = FLOATS.copy()
    holes[0, :3] = np.nan
    with geotiff.opened(geotiff.encode(holes, "ab", PLACE, "EPSG:32631")) as dataset:
        assert np.isnan(dataset.nodata) and dataset.crs.to_epsg() == 32631 and dataset.transform == PLACE
        assert (dataset.read_masks(1)[:3] == 0).all()
    with geotiff.opened(geotiff.encode(BYTES, "abc", PLACE)) as dataset:
        assert dataset.nodata is None


def test_an_image_that_lies_nowhere_is_written_and_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = geotiff.encode(FLOATS, "ab", Affine.identity(), compress=geotiff.ZSTD)
        assert geotiff.decode(content, "GTiff").pixels.shape == FLOATS.shape


def test_a_band_without_a_name_has_an_empty_one() -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 4, "width": 4, "transform": PLACE}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(BYTES[:1, :4, :4])
        assert geotiff.decode(memory.read()).bands == ("",)


@pytest.mark.parametrize("content", [b"not a tiff", b"II*\x00", geotiff.encode(FLOATS, "ab", PLACE)[:300]])
def test_what_is_no_image_or_cut_short_is_refused(content: bytes) -> None:
    with pytest.raises(RasterioError):
        geotiff.decode(content)


def test_any_tool_can_open_it(tmp_path) -> None:
    path = tmp_path / "chip.tif"
    path.write_bytes(geotiff.encode(FLOATS, ["B04", "B08"], PLACE, "EPSG:32631"))
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == ("B04", "B08")


def test_pixels_that_are_not_those_written_are_an_error_that_names_what_they_are_of() -> None:
    content = bytearray(geotiff.encode(FLOATS, ("a", "b"), PLACE, "EPSG:32631", {"compress": "none"}))
    content[len(content) // 2] ^= 1  # amid the pixels
    with pytest.raises(geotiff.ChecksumError, match=r"chip x.*dvc pull"):
        geotiff.decode(bytes(content), what="chip x")
