"""tasks/earth/pictures.py: a picture from outside has the same pixels wherever it comes in, or is refused."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tasks.earth.pictures import PictureError, decode, format_of
from tasks.evaluation.datasets import images
from tasks.evaluation.datasets.samples import BenchmarkImageRef
from tasks.published.images import read_images
from tasks.published.registry import by_name
from tasks.published.repairs import Notes
from tasks.vlm.image_file import DeclaredMetadata, open_image
from tasks.vlm.sensor_of_file import ImageError

COLOURS = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def written(picture: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_training_a_benchmark_and_a_chat_see_the_same_pixels_of_one_picture(kind: str) -> None:
    content = written(Image.fromarray(COLOURS), kind)
    entry = by_name("geochat")
    assert entry is not None
    [trained] = read_images([pa.scalar({"bytes": content})], entry, Notes(strict=False))
    benchmark = images.decode(BenchmarkImageRef(data=content))
    chat = open_image(content, "picture", 112, 6, DeclaredMetadata(sensor="hr-rgb8"))
    assert (trained.pixels == benchmark).all()
    assert (np.stack([chat.planes[name] for name in "RGB"]) == benchmark).all()


def test_numbers_of_a_palette_are_colours_and_few_levels_of_grey_reach_from_black_to_white() -> None:
    drawn = np.zeros((8, 8, 3), np.uint8)
    drawn[:4] = (200, 30, 60)
    palette = Image.fromarray(drawn).convert("P", palette=Image.Palette.ADAPTIVE)
    for kind in ("PNG", "GIF", "BMP"):
        picture = decode(written(palette, kind))
        assert picture.converted and np.abs(picture.pixels - drawn.transpose(2, 0, 1).astype(int)).max() < 8
    black_and_white = decode(written(Image.fromarray(drawn[..., 0] > 0), "PNG"))
    assert black_and_white.converted and set(np.unique(black_and_white.pixels)) == {0, 255}
    chat = open_image(written(palette, "PNG"), "map", 112, 6).planes.values()
    assert (np.stack(list(chat)) == decode(written(palette, "PNG")).pixels).all()


def test_sixteen_bits_and_transparency_stay_as_they_are() -> None:
    levels = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    assert (decode(written(Image.fromarray(levels), "PNG")).pixels[0] == levels).all()
    assert decode(written(Image.fromarray(COLOURS).convert("RGBA"), "PNG")).pixels.shape == (4, 48, 64)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF"])
def test_a_picture_cut_short_is_refused(kind: str, tmp_path: Path) -> None:
    whole = written(Image.fromarray(COLOURS), kind)
    for source in (whole[: len(whole) // 2], whole[:20]):
        with pytest.raises(PictureError):
            decode(source)
        with pytest.raises(ImageError, match=r"it cannot be read, it may be cut short|neither GeoTIFF"):
            open_image(source, "cut", 112, 6, DeclaredMetadata(sensor="hr-rgb8"))
        (tmp_path / "cut").write_bytes(source)
        with pytest.raises(PictureError):
            decode(tmp_path / "cut")


def test_a_jpeg_damaged_in_its_middle_is_found_where_it_is_looked_for() -> None:
    whole = written(Image.fromarray(COLOURS), "JPEG")
    middle = len(whole) // 2
    with pytest.raises(PictureError, match="remature end"):
        decode(whole[:middle] + b"\xff\xd9", thorough=True)


def test_a_picture_of_more_pixels_than_could_be_meant_is_refused_before_it_takes_memory() -> None:
    bomb = written(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(bomb) < 100_000
    with pytest.raises(PictureError, match="400000000 pixels"):
        decode(bomb)


def test_what_is_no_picture_is_told_by_its_first_bytes() -> None:
    assert format_of(b"<VRTDataset>") is None
    with pytest.raises(PictureError, match="it begins with b'<VRTData'"):
        decode(b"<VRTDataset>")
