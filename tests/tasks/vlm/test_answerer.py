"""tasks/vlm: from chips to what the model takes."""

import contextlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from models.parts.image import Image, batch_images, dated
from models.parts.prompt import Encoded
from tasks.core.errors import DamagedFileError, TrainingError
from tasks.earth.sensors import SENSORS
from tasks.vlm.bands import bands_to_load, modality_tag
from tasks.vlm.chip_reader import ChipReader, read_geotiff
from tasks.vlm.images import Normalisation, preprocess
from tasks.vlm.samples import ImageRef, Sample, bare_question, encode_samples
from tests.fixtures.small_dataset import geotiff, write_dataset

UNIT = Normalisation({s.name: dict.fromkeys((*s.band_names, "VV-VH"), (0.0, 1.0)) for s in SENSORS.values()})


def constant(values: dict[str, float]) -> dict[str, np.ndarray]:
    """Bands of 4 x 4 pixels, each of one value."""
    return {name: np.full((4, 4), value, dtype=np.float32) for name, value in values.items()}


def test_a_multispectral_image_is_true_colour_then_the_rest_and_the_last_group_is_masked() -> None:
    bands = bands_to_load(SENSORS["sentinel-2"], "ms", SENSORS["sentinel-2"].band_names)
    image = preprocess(
        constant({name: n for n, name in enumerate(SENSORS["sentinel-2"].band_names)}), "sentinel-2", bands, UNIT
    )
    assert image.pixels[0, :, 0, 0].tolist() == [3, 2, 1]
    assert image.wavelengths[0].tolist() == pytest.approx([0.665, 0.560, 0.490])
    assert image.mask.sum(1).tolist() == [3, 3, 3, 3, 1]
    assert image.pixels[4, 1:].abs().sum() == 0


def test_the_true_colour_rendering_is_the_first_group_of_all_bands() -> None:
    pixels = constant({name: n for n, name in enumerate(SENSORS["landsat"].band_names)})
    rgb = preprocess(pixels, "landsat", bands_to_load(SENSORS["landsat"], "rgb", list(pixels)), UNIT)
    full = preprocess(pixels, "landsat", bands_to_load(SENSORS["landsat"], "ms", list(pixels)), UNIT)
    assert len(rgb.pixels) == 1 and torch.equal(rgb.pixels[0], full.pixels[0])


def test_radar_is_both_polarisations_and_their_ratio() -> None:
    image = preprocess(constant({"VV": -10, "VH": -17}), "sentinel-1", ["VV", "VH"], UNIT)
    assert image.pixels[0, :, 0, 0].tolist() == [-10, -17, 7]
    assert (image.wavelengths > 50_000).all()


def test_pixels_are_scaled_by_the_training_chips_and_no_data_becomes_their_mean() -> None:
    normalise = Normalisation({"sentinel-1": {"VV": (-12, 4), "VH": (-18, 4), "VV-VH": (6, 2)}})
    pixels = constant({"VV": -10, "VH": -18})
    pixels["VV"][0, 0] = np.nan
    image = preprocess(pixels, "sentinel-1", ["VV", "VH"], normalise)
    assert image.pixels[0, :, 1, 1].tolist() == [0.5, 0, 1]
    assert image.pixels[0, :, 0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("value", [np.nan, -12.0, np.inf, -np.inf])
def test_a_chip_without_data_or_contrast_is_a_defined_image_and_never_nan(value: float) -> None:
    normalise = Normalisation({"sentinel-1": {"VV": (-12, 4), "VH": (-18, 0), "VV-VH": (6, 2)}})
    image = preprocess(constant({"VV": value, "VH": value}), "sentinel-1", ["VV", "VH"], normalise).tiled(28, 6)
    assert bool(image.pixels.isfinite().all())
    if not np.isfinite(value):
        assert image.pixels.abs().sum() == 0


def test_a_band_without_statistics_or_pixels_is_named() -> None:
    with pytest.raises(TrainingError, match="no training statistics for band VV"):
        preprocess(constant({"VV": 0, "VH": 0}), "sentinel-1", ["VV", "VH"], Normalisation({}))
    with pytest.raises(TrainingError, match="the chip has no VH"):
        preprocess(constant({"VV": 0}), "sentinel-1", ["VV", "VH"], UNIT)


def test_a_sensor_cannot_be_shown_as_what_it_is_not() -> None:
    with pytest.raises(TrainingError, match="sentinel-1 cannot be shown as rgb; it allows sar"):
        modality_tag(SENSORS["sentinel-1"], "rgb")


def square(groups: int, height: int, width: int) -> Image:
    """An image of ones."""
    there = torch.ones(groups, 3, dtype=torch.bool)
    return Image(torch.ones(groups, 3, height, width), torch.ones(groups, 3), there, torch.zeros(groups))


def test_images_of_any_size_and_number_of_bands_make_one_batch() -> None:
    tiles = [square(1, 64, 64).tiled(28, 1), square(5, 20, 20).tiled(28, 1), square(2, 28, 112).tiled(28, 6)]
    batch = batch_images(tiles)
    # The wide image is four tiles and a thumbnail, each of its two groups.
    assert [one.count for one in tiles] == [1, 1, 5]
    assert batch["pixel_values"].shape == (1 + 5 + 5 * 2, 3, 28, 28)
    assert batch["tile_of_group"].tolist() == [0, 1, 1, 1, 1, 1, *[2] * 2, *[3] * 2, *[4] * 2, *[5] * 2, *[6] * 2]
    assert torch.allclose(batch["pixel_values"], torch.ones(1))
    assert batch_images(tiles, blank=True)["pixel_values"].abs().sum() == 0


def test_images_of_several_dates_tell_the_days_since_the_first() -> None:
    dates = [datetime(2017, 1, 24), datetime(2017, 9, 9), datetime(2018, 5, 7)]
    images = dated([square(2, 8, 8)] * 3, dates)
    assert [image.tiled(8, 6).days.tolist() for image in images] == [[0, 0], [228, 228], [468, 468]]
    unknown = dated([square(2, 8, 8)] * 3, [*dates[:2], None])
    assert not torch.cat([image.days for image in unknown]).any()


def test_images_of_one_sample_share_the_tiles_that_one_may_have() -> None:
    one = sample("<image>\nWhat is it?", images=1, width=300)
    two = sample("<image> <image>\nWhat changed?", images=2, width=300)
    assert one.tile_counts(100, 6) == [4] and two.tile_counts(100, 6) == [4, 4] and two.tile_counts(100, 2) == [1, 1]


def test_a_chip_is_read_from_its_shard_and_kept_within_the_room_there_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))

    def about(*chips: str) -> Sample:
        shard = "data/chips/sentinel-1/a/shard-0000.parquet"
        refs = tuple(ImageRef(shard, chip, "sentinel-1", "sar", ("VV", "VH"), 64, 64, None) for chip in chips)
        return Sample("s", chips[0], "sentinel-1", "sar", refs, (("?", "!"),), ("presence",), 1)

    with contextlib.chdir(tmp_path):
        reader = ChipReader(UNIT, 28, 1, cache_mb=0)
        (first,) = reader.images(about("sentinel-1-a-000"))
        again = reader.images(about("sentinel-1-a-001", "sentinel-1-a-002", "sentinel-1-a-000"))[2]
        assert torch.equal(first.pixels, again.pixels)
        with pytest.raises(TrainingError, match="is not in"):
            reader.images(about("elsewhere"))


def test_bytes_that_are_no_geotiff_are_an_error_that_names_the_chip() -> None:
    with pytest.raises(DamagedFileError, match="chip x"):
        read_geotiff(b"not a tiff", "chip x")
    assert list(read_geotiff(geotiff(np.zeros((1, 8, 8), dtype=np.float32), ["VV"]), "chip y")) == ["VV"]


class Words:
    """A tokenizer of words, for lengths."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """One token a word."""
        return [len(word) for word in text.split()]


def sample(question: str, answer: str = "yes", images: int = 1, width: int = 64) -> Sample:
    """One conversation about one or several images."""
    refs = (ImageRef("s", "c", "landsat", "ms", ("B4",), width, 100, None),) * images
    return Sample("c#0/ms", "c", "landsat", "ms", refs, ((question, answer),), ("presence",), 1)


def test_a_sample_that_is_too_long_is_rejected_by_name_and_never_cut() -> None:
    samples = [sample("<image>\nshort"), sample("<image>\n" + "long " * 50)]
    good, rejected = encode_samples(samples, Words(), 4, 40, 100, 6)
    assert len(good) == 1 and isinstance(good[0][1], Encoded)
    assert rejected == [{"sample_id": "c#0/ms", "reason": "too-long", "detail": rejected[0]["detail"]}]
    assert "40 allowed" in rejected[0]["detail"]


def test_a_sample_with_two_slots_for_one_image_stops_the_stage() -> None:
    with pytest.raises(TrainingError, match=r"sample c#0/ms: 2 <image> in the text, but 1 images"):
        encode_samples([sample("<image> <image>\nWhat changed?")], Words(), 4, 40, 100, 6)


def test_the_bare_question_has_no_tags() -> None:
    assert bare_question("[classify] [s2_ms_10] <image>\nWhat is it?") == "What is it?"
    assert bare_question("<image>\nWhat is it?") == "What is it?"
    assert bare_question("And now?") == "And now?"
