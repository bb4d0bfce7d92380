"""Images that lead elsewhere or would cost too much: refused by name, by their header; given up when nobody waits."""

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from benchmarks.pictures import measured
from tasks.core.errors import EarthloomError, SceneError
from tasks.earth.assets import Asset
from tasks.earth.picture_files import ReadingStoppedError
from tasks.earth.raster import open_asset
from tasks.vlm.image_file import DeclaredMetadata, open_image
from tasks.vlm.sensor_of_file import ImageError
from tests.fixtures import hostile_pictures as hostile
from tests.fixtures.image_files import L2A, UTM, reflectance, write
from tests.fixtures.pictures import saved, tiff
from tests.tasks.earth.test_hostile_files import catalog


def png(width: int, height: int, *more: int) -> bytes:
    """A PNG that says to be large, and holds next to nothing."""
    ihdr = struct.pack(">IIBBBBB", width, height, *more)
    chunks = ((b"IHDR", ihdr), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b""))
    return hostile.PNG + b"".join(hostile.chunk(*one) for one in chunks)


def bmp(width: int, height: int) -> bytes:
    """The same of a BMP."""
    content = saved(Image.new("RGB", (1, 1)), "BMP")
    return content[:18] + struct.pack("<ii", width, height) + content[26:]


LARGE: dict[str, Callable[[], bytes]] = {
    "png": lambda: png(13_000, 13_000, 8, 2, 0, 0, 0),
    "png beyond pillow": lambda: png(20_000, 20_000, 1, 0, 0, 0, 0),
    "png interlaced": lambda: png(13_000, 13_000, 8, 2, 0, 0, 1),
    "png of 16 bits": lambda: png(13_000, 13_000, 16, 0, 0, 0, 0),
    "jpeg": lambda: hostile.resized_jpeg(65_535, 65_535),
    "jpeg within pillow": lambda: hostile.resized_jpeg(13_000, 13_000),
    "gif": lambda: hostile.gif(65_535, 65_535),
    "webp": lambda: b"RIFF\x1c\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + bytes(8),
    "bmp": lambda: bmp(13_000, -13_000),
    "tiff, sparse": lambda: hostile.tiff(633_000, 633_000, tiled=True, blockxsize=16_384, blockysize=16_384),
}


@pytest.fixture(autouse=True)
def no_word_of_places() -> None:
    """What is written here lies nowhere on Earth."""
    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)


@pytest.mark.parametrize("kind", LARGE)
def test_a_small_file_of_many_pixels_is_refused_by_its_header(kind: str) -> None:
    content = LARGE[kind]()
    assert len(content) < 1_000_000
    with pytest.raises(ImageError, match=r"x: .*pixels.*cut out what is asked about"):
        open_image(content, "x", 112, 6)


def test_the_limit_is_a_parameter_and_overviews_of_a_scene_keep_within_it(tmp_path: Path) -> None:
    picture = saved(Image.new("L", (100, 100)), "PNG")
    with pytest.raises(ImageError, match="10,000, and at most 9,999 are decoded"):
        open_image(picture, "x", 112, 6, most_pixels=9_999)
    assert open_image(picture, "x", 112, 6, most_pixels=10_000).width == 100
    path = write(tmp_path / "scene.tif", reflectance(12, 1_000, 1_000), L2A, tiled=True)
    with pytest.raises(ImageError, match=r"1,000,000 would have to be decoded, .*gdaladdo"):
        open_image(path, "x", 112, 1, most_pixels=250_000)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    assert open_image(path, "x", 112, 1, most_pixels=250_000).width == 1_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: hostile.black_png(8, 8, extra=[hostile.chunk(b"zTXt", b"a\0\0" + hostile.zeros(10**8))]), "too large"),
        (lambda: hostile.jpeg_of_scans(64, 200), "scans, each a pass over all pixels"),
        (lambda: hostile.tiff(20_000, 20_000, tiled=True, blockxsize=20_000, blockysize=20_000), "by its header"),
        (lambda: hostile.tiff(12_000, 12_000, 4, tiled=True, blockxsize=12_000, blockysize=12_000), "one block of"),
        (lambda: hostile.tiff(1, 1, 65_000), "65000 bands, 64 at most"),
        (lambda: hostile.npy((1, 10, 10)), "neither GeoTIFF"),
        (lambda: b"<VRTDataset/>", "neither GeoTIFF"),
        (lambda: b"II*\0" + b"\xff" * 60, "cannot be read"),
        (lambda: b"RIFF\x04\0\0\0WEBP", "first chunk is no image"),
        (lambda: b"", "neither GeoTIFF"),
    ],
)  # fmt: skip
def test_files_that_are_made_to_cost_or_to_crash_are_refused_by_name(
    content: Callable[[], bytes], message: str
) -> None:
    with pytest.raises(ImageError, match=rf"x: .*{message}"):
        open_image(content(), "x", 112, 6)


def test_many_pages_and_frames_cost_no_more_than_the_first() -> None:
    assert open_image(hostile.ifds(2_000), "x", 112, 6).width == 1
    assert open_image(hostile.ifds(20, looped=True), "x", 112, 6).width == 1
    assert open_image(hostile.gif(64, 64, 2_000), "x", 112, 6).width == 64


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
def test_a_raster_that_names_another_file_for_its_overviews_is_not_read(tmp_path: Path, driver: str) -> None:
    secret = write(tmp_path / "secret.tif", np.full((1, 100, 100), 77, np.uint8))
    content = hostile.leading(driver, secret, tmp_path)
    for source in (content, tmp_path / ("leads.tif" if driver == "GTiff" else "leads.jp2")):
        with pytest.raises(ImageError, match="name another file to be read in its place, which is not followed"):
            open_image(source, "x", 28, 1)
    (tmp_path / "asset.tif").write_bytes(content)
    asset = Asset("S", "red", "folder:asset.tif")
    with pytest.raises(SceneError, match="not followed"), open_asset(asset, catalog(tmp_path)):
        pass


def test_files_beside_an_image_are_not_looked_at(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tif", np.full((1, 1_000, 1_000), 10, np.uint8), georeferenced=False)
    (tmp_path / "x.tif.ovr").write_bytes(write(tmp_path / "o.tif", np.full((1, 100, 100), 77, np.uint8)).read_bytes())
    (tmp_path / "x.tif.msk").write_bytes(write(tmp_path / "m.tif", np.zeros((1, 1_000, 1_000), np.uint8)).read_bytes())
    (tmp_path / "x.tfw").write_text("10\n0\n0\n-10\n0\n0\n")
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32633</SRS><PAMRasterBand band='1'><Description>B04</Description><Offset>5</Offset>"
        "</PAMRasterBand></PAMDataset>"
    )
    image = open_image(path, "x.tif", 28, 1)
    assert image.crs is None and image.sensor.name == "hr-rgb8"
    assert {float(value) for plane in image.planes.values() for value in np.unique(plane)} == {10.0}


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "scene"])
def test_reading_is_given_up_between_two_blocks_when_nobody_waits_any_longer(kind: str) -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (1_200, 1_200, 3), dtype=np.uint8)
    content = {
        "png": lambda: saved(Image.fromarray(levels), "PNG", compress_level=0),
        "jpeg": lambda: saved(Image.fromarray(levels), "JPEG"),
        "tiff": lambda: tiff(levels, photometric="RGB", **UTM),
        "scene": lambda: tiff(levels.astype(np.float32) / 999, **UTM),
    }[kind]()
    asked = []

    def left() -> bool:
        asked.append(True)
        return len(asked) > 3 if kind in ("png", "jpeg") else True

    with pytest.raises(ReadingStoppedError, match="not wanted any longer") as caught:
        open_image(content, "x", 112, 6, DeclaredMetadata("sentinel-2" if kind == "scene" else None), cancelled=left)
    assert isinstance(caught.value, EarthloomError) and len(asked) < 6


@pytest.mark.slow
def test_memory_and_time_are_bounded_by_what_the_header_was_allowed_to_say(tmp_path: Path) -> None:
    (tmp_path / "hostile").write_bytes(hostile.black_png(12_000, 12_000, interlaced=True))
    seconds, peak, came = measured(tmp_path / "hostile", "ours")
    assert came == "a picture of 12000 x 12000"
    # 576 MB as Pillow holds colours, once; the rest is what a process with the libraries takes.
    assert peak < 1_200 and seconds < 30
