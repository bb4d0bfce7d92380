"""tasks/vlm/image_file.py: images as people have them, and as they should not be."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.core.errors import EarthloomError
from tasks.earth.radiometry import RadiometryError
from tasks.earth.sensors import SENSORS
from tasks.vlm.bands import bands_to_load
from tasks.vlm.chat import Conversation
from tasks.vlm.chip_reader import read_geotiff
from tasks.vlm.doors import FLAGS, PAGE, REQUEST
from tasks.vlm.image_file import DeclaredMetadata, ImageFile, open_image
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.sensor_of_file import FileMetadata, ImageError, UnknownSensorError, recognise
from tests.fixtures.image_files import L2A, decibel, reflectance, write
from tests.fixtures.small_dataset import chip
from tests.fixtures.tiny_checkpoint import UNIT

NORMALISE = Normalisation(UNIT)


def opened(path: Path, **declared: object) -> ImageFile:
    """The image of a file, for tiles of 112 pixels."""
    return open_image(path, path.name, 112, 6, DeclaredMetadata(**declared))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SENSORS)
def test_a_chip_opened_as_a_file_is_to_the_bit_what_training_sees_of_it(tmp_path: Path, name: str) -> None:
    content, bands, _ = chip(SENSORS[name], np.random.default_rng(1), "forest", "water")
    (tmp_path / "chip.tif").write_bytes(content)
    image = opened(tmp_path / "chip.tif", sensor=name)
    modality = "sar" if name == "sentinel-1" else "ms"
    shown = bands_to_load(SENSORS[name], modality, bands)
    trained = preprocess(read_geotiff(content, "chip"), name, shown, NORMALISE)
    assert image.modality == modality and image.bands == shown
    assert torch.equal(image.image(NORMALISE).pixels, trained.pixels)
    assert torch.equal(image.image(NORMALISE).wavelengths, trained.wavelengths)


def metadata(
    bands: tuple[str, ...], name: str = "x.tif", gsd: float | None = None, tags: dict[str, str] | None = None
) -> FileMetadata:
    """What a file could say of itself."""
    return FileMetadata(name, bands, tags or {}, gsd)


@pytest.mark.parametrize(
    ("file", "sensor"),
    [
        (metadata(tuple(L2A)), "sentinel-2"),
        (metadata(("",) * 12), "sentinel-2"),
        (metadata(("",) * 13), "sentinel-2"),
        (metadata(("VV", "VH")), "sentinel-1"),
        (metadata(("B4", "B3", "B2"), gsd=30), "landsat"),
        (metadata(("B4", "B3", "B2"), gsd=10), "sentinel-2"),
        (metadata(("SR_B4", "SR_B3", "SR_B2")), "landsat"),
        (metadata(("red", "green", "blue"), name="LC08_L2SP_020039_20150804.tif"), "landsat"),
        (metadata(("red", "green", "blue"), tags={"SPACECRAFT_NAME": "Sentinel-2A"}), "sentinel-2"),
        (metadata(("", ""), name="S1A_IW_GRDH_1SDV_20170617T064724.tif"), "sentinel-1"),
        (metadata(("B2", "B3", "B4", "B8", "B8A", "B11")), "sentinel-2"),
    ],
)
def test_the_sensor_is_recognised_from_what_the_file_says(file: FileMetadata, sensor: str) -> None:
    assert recognise(file).sensor.name == sensor


@pytest.mark.parametrize(
    "file",
    [
        metadata(("",) * 3),
        metadata(("",) * 7),
        metadata(("",)),
        metadata(("red", "green", "blue")),
        metadata(("B4", "B3", "B2")),
        metadata(("red", "green", "blue"), tags={"SENSOR": "Sentinel-2", "PRODUCT": "LC08_L1"}),
        metadata(("VV", "VH", "VV")),
    ],
)
def test_a_sensor_that_could_be_another_is_not_guessed(file: FileMetadata) -> None:
    with pytest.raises(UnknownSensorError, match=r"--sensor.*sentinel-2, sentinel-1, landsat"):
        recognise(file)


def test_bands_take_their_place_by_name_and_strangers_are_left_out() -> None:
    found = recognise(metadata(("SCL", "B03", "B02", "B04", "NDVI"), gsd=10), "sentinel-2")
    assert found.bands == ("", "B03", "B02", "B04", "")
    assert recognise(metadata(("",) * 3), "sentinel-2").bands == SENSORS["sentinel-2"].rgb
    assert recognise(metadata(("",) * 7), "landsat").bands == tuple(SENSORS["landsat"].required_bands)
    with pytest.raises(ImageError, match="its 7 bands cannot be told apart"):
        recognise(metadata(("",) * 7), "sentinel-2")
    with pytest.raises(ImageError, match="its 1 band cannot be told apart"):
        recognise(metadata(("",)), "sentinel-1")
    with pytest.raises(UnknownSensorError, match="there is no sensor 'modis'"):
        recognise(metadata(("VV", "VH")), "modis")


@pytest.mark.parametrize(
    ("name", "tags", "date"),
    [
        ("x.tif", {"ACQUISITION_DATE": "2017-02-16", "TIFFTAG_DATETIME": "2024:01:01 00:00:00"}, (2017, 2, 16)),
        ("x.tif", {"DATATAKE_1_DATATAKE_SENSING_START": "2017-02-16T10:21:01.026Z"}, (2017, 2, 16, 10, 21, 1)),
        (
            "S2A_MSIL2A_20170613T101031_87_48.tif",
            {"TIFFTAG_DATETIME": "2024:01:01 00:00:00"},
            (2017, 6, 13, 10, 10, 31),
        ),
        ("x.tif", {"TIFFTAG_DATETIME": "2015:08:04 16:00:00"}, (2015, 8, 4, 16)),
        ("x.tif", {}, None),
    ],
)
def test_the_date_is_that_of_the_acquisition(
    tmp_path: Path, name: str, tags: dict[str, str], date: tuple[int, ...] | None
) -> None:
    image = opened(write(tmp_path / name, reflectance(12), L2A, tags))
    assert image.date == (None if date is None else datetime(*date, tzinfo=UTC))  # type: ignore[arg-type]


def test_a_large_scene_is_read_no_finer_than_its_tiles_can_show(tmp_path: Path) -> None:
    image = opened(write(tmp_path / "scene.tif", reflectance(12, 1500, 3000), L2A, tiled=True))
    assert (image.width, image.height) == (3000, 1500)
    assert {plane.shape for plane in image.planes.values()} == {(224, 448)}
    assert image.image(NORMALISE).tiled(112, 6).count == 3
    exact = opened(write(tmp_path / "chip.tif", reflectance(12, 300, 300), L2A))
    assert exact.planes["B04"].shape == (300, 300)


def test_no_data_is_not_averaged_into_its_neighbours(tmp_path: Path) -> None:
    pixels = np.full((12, 1024, 1024), 2000, dtype=np.uint16)
    pixels[:, ::3] = 0
    path = write(tmp_path / "gaps.tif", pixels, L2A, nodata=0)
    plane = opened(path, scale=1e-4).planes["B04"]
    assert np.nanmin(plane) == pytest.approx(0.2) and np.nanmax(plane) == pytest.approx(0.2)


def test_pixels_that_are_no_numbers_never_reach_the_model(tmp_path: Path) -> None:
    pixels = reflectance(12)
    pixels[:, :8] = np.nan
    image = opened(write(tmp_path / "holes.tif", pixels, L2A))
    assert bool(image.image(NORMALISE).pixels.isfinite().all())
    assert image.quicklook(64).shape == (64, 64, 3)


def test_radar_in_decibel_and_in_power_are_one(tmp_path: Path) -> None:
    pixels = decibel()
    image = opened(write(tmp_path / "db.tif", pixels, ["VV", "VH"]))
    power = opened(write(tmp_path / "power.tif", (10 ** (pixels / 10)).astype(np.float32), ["VV", "VH"]))
    assert np.allclose(image.planes["VV"], power.planes["VV"], atol=1e-4)
    assert image.tag == "[s1_vh_10]" and image.quicklook(32).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("pixels", "bands", "declared", "message"),
    [
        (reflectance(1), ["B04"], {"sensor": "sentinel-2"}, "no B03, B02"),
        (np.full((12, 16, 16), np.nan, np.float32), L2A, {}, "no pixel has data"),
        (reflectance(12) * 10_000, L2A, {}, "scale"),
        ((reflectance(12) * 10_000).astype(np.uint16), L2A, {}, "scale"),
        ((decibel() + 40).astype(np.uint8), ["VV", "VH"], {}, "8-bit|uint8"),
        (reflectance(12).astype(np.complex64), L2A, {}, "complex64"),
    ],
)
def test_numbers_that_cannot_be_what_they_should_be_are_refused(
    tmp_path: Path, pixels: np.ndarray, bands: list[str], declared: dict[str, str], message: str
) -> None:
    with pytest.raises(EarthloomError, match=message):
        opened(write(tmp_path / "x.tif", pixels, bands), **declared).image(NORMALISE)


def test_a_picture_is_shown_as_the_rendering_that_it_is_said_to_be(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    values[3] = 255
    path = write(tmp_path / "picture.png", values, georeferenced=False)
    with pytest.raises(RadiometryError, match=r"8-bit numbers .* without a scale"):
        opened(path, sensor="sentinel-2")
    image = opened(path, sensor="hr-rgb8")
    assert (image.tag, image.modality, image.transform) == ("[hr_rgb_0.5]", "rgb", None)
    assert np.array_equal(image.planes["R"], values[0])
    normalise = Normalisation({"hr-rgb8": dict.fromkeys("RGB", (127.5, 73.6))})
    assert image.image(normalise).pixels.std() == pytest.approx(1, abs=0.05)


def test_what_is_transparent_in_a_picture_has_no_data(tmp_path: Path) -> None:
    values = np.full((4, 32, 32), 200, dtype=np.uint8)
    values[3, :16], values[3, 16:] = 0, 255
    image = opened(write(tmp_path / "half.png", values, georeferenced=False), sensor="hr-rgb8")
    assert np.isnan(image.planes["R"][:16]).all() and (image.planes["R"][16:] == 200).all()


def test_a_declared_scale_makes_stored_numbers_reflectance(tmp_path: Path) -> None:
    stored = (reflectance(12) * 10_000).astype(np.uint16)
    image = opened(write(tmp_path / "dn.tif", stored, L2A), scale=1e-4)
    assert np.allclose(image.planes["B04"], stored[3] * 1e-4)


def test_a_file_that_is_no_image_or_cut_short_is_an_error_with_its_name(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.tif", reflectance(12), L2A)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"cut\.tif: it cannot be read, it may be cut short"):
        opened(cut)
    text = tmp_path / "notes.vrt"
    text.write_text(f"<VRTDataset><SourceFilename>{whole}</SourceFilename></VRTDataset>")
    with pytest.raises(ImageError, match=r"notes\.vrt: neither GeoTIFF, JPEG 2000, PNG, JPEG, WebP, GIF nor BMP"):
        opened(text)
    with pytest.raises(ImageError, match="No such file"):
        opened(tmp_path / "absent.tif")
    with pytest.raises(ImageError, match="is not a date"):
        opened(whole, date="last summer")


def polarisation(folder: Path, name: str, level: float, **options: object) -> ImageFile:
    """One polarisation in a file of its own, that only its name tells."""
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(1).normal(level, 2, (1, 32, 32)).astype(np.float32)
    return opened(write(folder / name, pixels, **options))  # type: ignore[arg-type]


def test_two_polarisations_in_two_files_are_one_image(tmp_path: Path) -> None:
    vh, vv = polarisation(tmp_path, "scene_20170613_VH.tif", -17), polarisation(tmp_path, "scene-vv.tif", -10)
    conversation = Conversation()
    conversation.ask("What covers most of this image?", [vh, vv])
    [image] = conversation.images
    assert image.bands == ["VV", "VH"] and image.image(NORMALISE).pixels.shape[-3] == 3
    assert image.note.startswith("scene_20170613_VH.tif and scene-vv.tif: taken as one image")
    assert conversation.turns[0][0].count("<image>") == 1 and image.date == vh.date
    placed = Conversation()
    placed.ask("<image> is VV. <image> is VH. What is there?", [vv, vh])
    assert placed.turns[0][0] == "<image> is VV.  is VH. What is there?"


def test_polarisations_of_other_scenes_or_dates_stay_apart(tmp_path: Path) -> None:
    vv = polarisation(tmp_path, "a_20170613_VV.tif", -10)
    for other in (
        polarisation(tmp_path, "a_20170613_VV_again.tif", -10),
        polarisation(tmp_path, "a_20180613_VH.tif", -17),
        polarisation(tmp_path, "b_20170613_VH.tif", -17, georeferenced=False),
        polarisation(tmp_path, "c_20170613_HV.tif", -17),
    ):
        conversation = Conversation()
        conversation.ask("What changed?", [vv, other])
        assert conversation.images == [vv, other]


def test_the_scale_of_a_product_is_taken_where_its_name_says_it_alone(tmp_path: Path) -> None:
    bands = ["SR_B4", "SR_B3", "SR_B2"]
    stored = ((reflectance(3) + 0.2) / 2.75e-5).astype(np.uint16)
    image = opened(write(tmp_path / "LC08_L2SP_020039_20150804_02_T1.tif", stored, bands))
    assert np.allclose(image.planes["B4"], reflectance(3)[0], atol=1e-4)
    assert np.allclose(
        opened(tmp_path / "LC08_L2SP_020039_20150804_02_T1.tif", scale=1e-5).planes["B4"], stored[0] / 1e5
    )
    with pytest.raises(RadiometryError, match=r"without a scale.*`--scale`, `--offset`, `--unit`"):
        opened(write(tmp_path / "S2A_MSIL2A_20170613T101031.tif", (reflectance(12) * 1e4).astype(np.uint16), L2A))


def test_errors_name_what_to_set_in_the_words_of_the_door(tmp_path: Path) -> None:
    unnamed, counts = write(tmp_path / "x.tif", reflectance(3)), (reflectance(12) * 1e4).astype(np.uint16)
    stored = write(tmp_path / "y.tif", counts, L2A)
    for door in (FLAGS, REQUEST, PAGE):
        for path, error, words in ((unnamed, UnknownSensorError, door.sensor), (stored, RadiometryError, door.numbers)):
            with pytest.raises(error) as caught:
                opened(path, door=door)
            assert words in str(caught.value)
        with pytest.raises(ImageError) as wrong:
            opened(stored, scale=1e-4, date="yesterday", door=door)
        assert door.date in str(wrong.value)
