"""tasks/earth/geotiff.py: what goes in comes out, in the same bytes, and any tool opens it."""

import hashlib
import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from tasks.earth import geotiff
from tasks.earth.layers import Layer

RNG = np.random.default_rng(0)
FLOATS = RNG.random((2, 24, 17), dtype=np.float32)
BYTES = RNG.integers(0, 255, (3, 24, 17)).astype(np.uint8)
PLACE = Affine(10, 0, 500_000, 0, -10, 4_500_000)
CRS = "EPSG:32631"
BANDS = ("coastal", "blue", "red", "nir08", "temperature")


def numbers(count: int, side: int, low: int = 1) -> np.ndarray:
    """Made numbers of a scene, a corner of them without data."""
    made = np.random.default_rng(side).integers(low, 12_000, (count, side, side)).astype(np.uint16)
    made[:, : side // 4, : side // 4] = 0
    return made


LAYERS = [
    Layer(("coastal",), numbers(1, 8), (1e-4,), (-0.1,), 0),
    Layer(("red", "blue"), numbers(2, 24), (1e-4, 2e-4), (-0.1, 0.0), 0),
    Layer(("temperature",), FLOATS[:1, :12, :12], (1.0,), (0.0,), np.nan),
    Layer(("nir08",), numbers(1, 12), (1e-4,), (-0.1,), 0),
]


def chip() -> bytes:
    """Bands of three GSDs and two types."""
    return geotiff.encode_layers(LAYERS, BANDS, PLACE, CRS)


def expected(name: str) -> np.ndarray:
    """A band as it should come back: scaled in float32, repeated to the finest resolution."""
    layer = next(layer for layer in LAYERS if name in layer.bands)
    at = layer.bands.index(name)
    plane = layer.pixels[at].astype(np.float32) * np.float32(layer.scales[at]) + np.float32(layer.offsets[at])
    if layer.pixels.dtype == np.uint16:
        plane[layer.pixels[at] == 0] = np.nan
    factor = 24 // len(plane)
    return plane.repeat(factor, axis=0).repeat(factor, axis=1)


@pytest.mark.parametrize("pixels", [FLOATS, BYTES], ids=["float", "byte"])
def test_pixels_and_names_come_back_and_the_same_bytes_are_written_again(pixels: np.ndarray) -> None:
    names = tuple("abc"[: len(pixels)])
    content = geotiff.encode(pixels, names, PLACE, CRS)
    raster = geotiff.decode(content)
    assert raster.bands == names
    assert raster.pixels.dtype == pixels.dtype and np.array_equal(raster.pixels, pixels)
    assert geotiff.encode(raster.pixels, raster.bands, PLACE, CRS) == content


def test_bands_of_several_gsds_come_back_scaled_in_their_order_at_the_finest_resolution_nan_without_data() -> None:
    raster = geotiff.decode(chip())
    assert raster.bands == BANDS and raster.pixels.dtype == np.float32
    for name, plane in zip(raster.bands, raster.pixels, strict=True):
        assert np.array_equal(plane, expected(name), equal_nan=True), name
    assert np.isnan(raster.pixels[0, :6, :6]).all()


@pytest.mark.parametrize("some", [("nir08",), ("temperature", "red"), ("coastal", "blue"), ("swir16",)])
def test_some_bands_read_alone_equal_those_of_the_whole_and_what_is_not_there_is_left_out(some: tuple) -> None:
    raster = geotiff.decode(chip(), bands=some)
    assert raster.bands == tuple(name for name in BANDS if name in some)
    assert raster.pixels.shape[1:] == (24, 24)
    for name, plane in zip(raster.bands, raster.pixels, strict=True):
        assert np.array_equal(plane, expected(name), equal_nan=True)


def test_numbers_are_stored_as_they_were_with_their_scale_at_their_own_resolution() -> None:
    stored = geotiff.decode_layers(chip())
    assert [layer.bands for layer in stored.layers] == [("red", "blue"), ("temperature",), ("nir08",), ("coastal",)]
    by_band = {layer.bands: layer for layer in LAYERS}
    for layer in stored.layers:
        source = by_band[layer.bands]
        assert layer.pixels.dtype == source.pixels.dtype and np.array_equal(layer.pixels, source.pixels)
        assert (layer.scales, layer.offsets) == (source.scales, source.offsets)


@pytest.mark.parametrize(("number", "step"), [(1, 10), (2, 20), (3, 20), (4, 30)])
def test_rasterio_finds_place_names_scale_and_no_data_in_every_directory(
    number: int, step: int, tmp_path: Path
) -> None:
    path = tmp_path / "chip.tif"
    path.write_bytes(chip())
    with rasterio.open(path) as first:
        assert first.descriptions == ("red", "blue") and len(first.subdatasets) == 4
    layer = sorted(LAYERS, key=lambda layer: -layer.pixels.shape[1])[number - 1]
    with rasterio.open(f"GTIFF_DIR:{number}:{path}") as dataset:
        assert dataset.descriptions == layer.bands
        assert (dataset.scales, dataset.offsets) == (layer.scales, layer.offsets)
        assert np.array_equal([dataset.nodata], [layer.nodata], equal_nan=True)
        assert dataset.crs.to_epsg() == 32631
        assert dataset.transform == Affine(step, 0, 500_000, 0, -step, 4_500_000)
        assert np.array_equal(dataset.read(), layer.pixels)
        assert dataset.profile["compress"] == "zstd" and dataset.block_shapes[0][0] == dataset.height


def test_tifffile_finds_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "chip.tif"
    path.write_bytes(chip())
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 4 and file.is_geotiff
        assert np.array_equal(file.pages[0].asarray(), LAYERS[1].pixels)


def test_an_affine_that_is_not_north_up_is_kept() -> None:
    turned = Affine(3, 4, 500_000, 4, -3, 4_500_000)
    with geotiff.opened(geotiff.encode(FLOATS, "ab", turned, CRS)) as dataset:
        assert dataset.transform == turned


def test_two_processes_write_the_same_bytes() -> None:
    code = "import hashlib; from tests.tasks.earth.test_geotiff import chip; print(hashlib.md5(chip()).hexdigest())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == hashlib.md5(chip()).hexdigest()


@pytest.mark.parametrize("number", range(4))
def test_a_flipped_bit_in_any_directory_is_found(number: int) -> None:
    content = bytearray(chip())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        page = file.pages[number]
        content[page.dataoffsets[-1] + page.databytecounts[-1] // 2] ^= 8
    with pytest.raises(geotiff.ChecksumError, match=r"chip x.*dvc pull"):
        geotiff.decode(bytes(content), what="chip x")


def test_a_scale_that_was_changed_is_found() -> None:
    assert b">0.0002<" in chip()
    with pytest.raises(geotiff.ChecksumError, match=r"chip x.*blue"):
        geotiff.decode(chip().replace(b">0.0002<", b">0.0003<"), what="chip x")


def test_damage_in_a_band_that_is_not_asked_for_is_not_met() -> None:
    content = bytearray(chip())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        content[file.pages[3].dataoffsets[0] + 9] ^= 8
    assert geotiff.decode(bytes(content), bands=["red"]).bands == ("red",)


def test_layers_that_do_not_divide_each_other_or_hold_other_bands_are_refused() -> None:
    odd = [LAYERS[1], Layer(("coastal",), numbers(1, 7), (1e-4,), (0.0,), 0)]
    with pytest.raises(ValueError, match=r"\(7, 7\).*\(24, 24\)"):
        geotiff.encode_layers(odd, ("coastal", "red", "blue"), PLACE, CRS)
    with pytest.raises(ValueError, match="green"):
        geotiff.encode_layers(LAYERS, (*BANDS, "green"), PLACE, CRS)


def test_floats_have_no_data_as_nan_and_display_values_have_none() -> None:
    holes = FLOATS.copy()
    holes[0, :3] = np.nan
    with geotiff.opened(geotiff.encode(holes, "ab", PLACE, CRS)) as dataset:
        assert np.isnan(dataset.nodata) and dataset.crs.to_epsg() == 32631 and dataset.transform == PLACE
        assert (dataset.read_masks(1)[:3] == 0).all()
    with geotiff.opened(geotiff.encode(BYTES, "abc", PLACE)) as dataset:
        assert dataset.nodata is None


def test_an_image_that_lies_nowhere_is_written_and_read_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = geotiff.encode(FLOATS, "ab", Affine.identity())
        assert geotiff.decode(content, "GTiff").pixels.shape == FLOATS.shape


def test_a_band_without_a_name_has_an_empty_one() -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 4, "width": 4, "transform": PLACE}
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(BYTES[:1, :4, :4])
        assert geotiff.decode(memory.read()).bands == ("",)


@pytest.mark.parametrize("content", [b"not a tiff", b"II*\x00", geotiff.encode(FLOATS, "ab", PLACE)[:300]])
def test_what_is_no_image_or_cut_short_is_refused(content: bytes) -> None:
    with pytest.raises((RasterioError, geotiff.ChecksumError)):
        geotiff.decode(content)
