"""Ordinary pictures: what a viewer shows of them is what the model sees, and that it was taken so is said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.earth.radiometry import RadiometryError
from tasks.earth.sensors import SENSORS
from tasks.vlm.image_file import DeclaredMetadata, ImageFile, open_image
from tasks.vlm.images import Normalisation
from tasks.vlm.limits import Limits
from tasks.vlm.sensor_of_file import UnknownSensorError
from tasks.vlm.taught import Shown
from tasks.vlm.true_colour import TrueColour
from tasks.vlm.wording import Wording
from tests.fixtures.image_files import UTM
from tests.fixtures.pictures import COLOURS, GREY, ordinary, saved, tiff
from tests.fixtures.tiny_checkpoint import UNIT

TAUGHT = Limits({"sentinel-2": {"rgb": Shown((), 9)}, "landsat": {"rgb": Shown((), 3)}}, 1, {}, Wording.of([]))


def opened(content: bytes, name: str = "picture", **declared: object) -> ImageFile:
    return open_image(
        content, name, 112, 6, DeclaredMetadata(**declared),  # type: ignore[arg-type]
        true_colour=TrueColour.of(Normalisation(UNIT), TAUGHT),
    )  # fmt: skip


def seen(image: ImageFile) -> np.ndarray:
    """(H, W, 3) that the model is shown, before normalisation."""
    return np.stack(list(image.planes.values()), axis=-1)


@pytest.mark.parametrize("kind", ordinary())
def test_what_a_viewer_shows_is_what_the_model_and_people_see(kind: str) -> None:
    content, colours, near = ordinary()[kind]
    image = opened(content)
    assert (image.sensor.name, image.modality, image.tag) == ("hr-rgb8", "rgb", "[s2_rgb_10]")
    assert (image.width, image.height) == (64, 48)
    apart = np.abs(seen(image) - colours.astype(np.float32))
    # What is lost by a lossy format lies along the edges of the fields.
    assert (np.median(apart, axis=(0, 1)).max() if near > 1 else apart.max()) <= near
    assert np.abs(image.quicklook(64).astype(int) - seen(image)).max() <= 0.5
    assert "taken as a display picture" in image.note and "[s2_rgb_10]" in image.note
    assert bool(image.image(Normalisation(UNIT)).pixels.isfinite().all())


def test_one_pixel_is_a_picture_too() -> None:
    image = opened(saved(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"))
    assert seen(image).tolist() == [[[9, 8, 7]]] and image.image(Normalisation(UNIT)).tiled(112, 6).count == 1


def test_what_is_transparent_has_no_data_and_what_is_half_so_lies_on_white() -> None:
    picture = Image.fromarray(COLOURS).convert("RGBA")
    picture.putalpha(Image.fromarray(np.repeat([[0], [255]], [24, 24], axis=0).repeat(64, axis=1).astype(np.uint8)))
    image = opened(saved(picture, "PNG"))
    assert np.isnan(seen(image)[:24]).all() and (seen(image)[24:] == COLOURS[24:]).all()
    assert "transparent parts left out" in image.note


def test_the_name_of_a_satellite_makes_a_picture_its_rendering() -> None:
    image = opened(saved(Image.fromarray(COLOURS), "JPEG"), "S2A_MSIL2A_20170613T101031_TCI.jpg")
    assert (image.sensor.name, image.tag) == ("s2-rgb8", "[s2_rgb_10]") and image.date is not None
    assert opened(tiff(COLOURS, photometric="RGB", **UTM), "LC08_L2SP_x.tif").sensor.name == "l8-rgb8"


def test_a_georeferenced_orthophoto_is_a_picture_that_lies_somewhere_and_infrared_is_no_transparency() -> None:
    infrared = np.dstack([COLOURS, GREY[..., :1] // 3 + 1])
    image = opened(tiff(infrared, photometric="RGB", **UTM))
    assert image.crs == "EPSG:32633" and (seen(image) == COLOURS).all()
    assert "near infrared it seems, left out" in image.note


def test_numbers_that_may_be_counts_are_asked_about_and_never_taken_for_a_picture() -> None:
    counts = COLOURS.astype(np.uint16) * 10
    for content in (tiff(counts, **UTM), tiff(counts.astype(np.float32)), tiff(counts.astype(np.int16))):
        with pytest.raises(UnknownSensorError, match=r"`--sensor`.*hr-rgb8 for a picture"):
            opened(content)
    fractions = tiff(COLOURS.astype(np.float32) / 255)
    with pytest.raises(RadiometryError, match="if 1 is white, declare a scale of 255"):
        opened(fractions, sensor="hr-rgb8")
    assert np.allclose(seen(opened(fractions, sensor="hr-rgb8", scale=255.0)), COLOURS)
    # Twelve bits on no place of Earth: stretched, as programs for such files show them, and said so.
    image = opened(tiff(counts, photometric="RGB"))
    assert "stretched from" in image.note and np.nanmax(seen(image)) == 255


def test_statistics_of_a_checkpoint_s_own_renderings_go_before_published_ones() -> None:
    own = TrueColour.of(Normalisation({**UNIT, "hr-rgb8": dict.fromkeys("RGB", (100.0, 50.0))}), TAUGHT)
    assert own.normalise.values["s2-rgb8"] == {band: [100.0, 50.0] for band in SENSORS["sentinel-2"].rgb or ()}
    assert "training data's own renderings" in own.manner(opened(saved(Image.fromarray(GREY), "PNG")).sensor)
    published = TrueColour.of(Normalisation(UNIT), None)
    assert published.normalise.values["hr-rgb8"]["R"] == pytest.approx([0.485 * 255, 0.229 * 255])
    assert not published.measured and published.tags == ()


def test_a_model_that_was_taught_true_colour_may_be_shown_a_picture_and_one_of_radar_alone_may_not() -> None:
    assert TAUGHT._unseen([("hr-rgb8", "rgb")]) is None
    radar = Limits({"sentinel-1": {"sar": Shown((), 1)}}, 1, {}, Wording.of([]))
    assert "not trained on images of hr-rgb8" in str(radar._unseen([("hr-rgb8", "rgb")]))


def test_a_path_and_its_bytes_are_one_picture(tmp_path: Path) -> None:
    content = ordinary()["webp, lossy"][0]
    (tmp_path / "x.webp").write_bytes(content)
    path = open_image(tmp_path / "x.webp", "x.webp", 112, 6)
    assert (seen(path) == seen(opened(content))).all() and path.true_colour is None
