"""tasks/inference: from chips to what the model takes."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from models.earthdial.prompt import Encoded
from tasks.core.errors import TrainingError
from tasks.core.sensors import LANDSAT, SENSORS, SENTINEL_1, SENTINEL_2
from tasks.inference.compose import bands_to_load, modality_tag
from tasks.inference.pixels import ChipReader, Image, Normalisation, batch_images, compose, read_geotiff
from tasks.inference.samples import Sample, bare_question, encode_samples
from tests.fixtures.small_dataset import geotiff, write_dataset

UNIT = Normalisation({s.name: dict.fromkeys((*s.band_names, "VV-VH"), (0.0, 1.0)) for s in SENSORS.values()})


def constant(values: dict[str, float]) -> dict[str, np.ndarray]:
    """Bands of 4 x 4 pixels, each of one value."""
    return {name: np.full((4, 4), value, dtype=np.float32) for name, value in values.items()}


def test_a_multispectral_image_is_true_colour_then_the_rest_and_the_last_group_is_masked() -> None:
    bands = bands_to_load(SENTINEL_2, "ms", SENTINEL_2.band_names)
    image = compose(constant({name: n for n, name in enumerate(SENTINEL_2.band_names)}), "sentinel-2", bands, UNIT)
    assert image.pixels[0, :, 0, 0].tolist() == [3, 2, 1]
    assert image.wavelengths[0].tolist() == pytest.approx([0.665, 0.560, 0.490])
    assert image.mask.sum(1).tolist() == [3, 3, 3, 3, 1]
    assert image.pixels[4, 1:].abs().sum() == 0


def test_the_true_colour_rendering_is_the_first_group_of_all_bands() -> None:
    pixels = constant({name: n for n, name in enumerate(LANDSAT.band_names)})
    rgb = compose(pixels, "landsat", bands_to_load(LANDSAT, "rgb", list(pixels)), UNIT)
    full = compose(pixels, "landsat", bands_to_load(LANDSAT, "ms", list(pixels)), UNIT)
    assert len(rgb.pixels) == 1 and torch.equal(rgb.pixels[0], full.pixels[0])


def test_radar_is_both_polarisations_and_their_ratio() -> None:
    image = compose(constant({"VV": -10, "VH": -17}), "sentinel-1", ["VV", "VH"], UNIT)
    assert image.pixels[0, :, 0, 0].tolist() == [-10, -17, 7]
    assert (image.wavelengths > 50_000).all()


def test_pixels_are_scaled_by_the_training_chips_and_no_data_becomes_their_mean() -> None:
    normalise = Normalisation({"sentinel-1": {"VV": (-12, 4), "VH": (-18, 4), "VV-VH": (6, 2)}})
    pixels = constant({"VV": -10, "VH": -18})
    pixels["VV"][0, 0] = np.nan
    image = compose(pixels, "sentinel-1", ["VV", "VH"], normalise)
    assert image.pixels[0, :, 1, 1].tolist() == [0.5, 0, 1]
    assert image.pixels[0, :, 0, 0].tolist() == [0, 0, 0]


def test_a_band_without_statistics_or_pixels_is_named() -> None:
    with pytest.raises(TrainingError, match="no training statistics for band VV"):
        compose(constant({"VV": 0, "VH": 0}), "sentinel-1", ["VV", "VH"], Normalisation({}))
    with pytest.raises(TrainingError, match="the chip has no VH"):
        compose(constant({"VV": 0}), "sentinel-1", ["VV", "VH"], UNIT)


def test_a_sensor_cannot_be_shown_as_what_it_is_not() -> None:
    with pytest.raises(TrainingError, match="sentinel-1 cannot be shown as rgb; it allows sar"):
        modality_tag(SENTINEL_1, "rgb")


def test_images_of_any_size_and_number_of_bands_make_one_batch() -> None:
    def image(groups: int, side: int) -> Image:
        return Image(torch.ones(groups, 3, side, side), torch.ones(groups, 3), torch.ones(groups, 3, dtype=torch.bool))

    batch = batch_images([image(1, 64), image(5, 20), image(1, 112)], 28)
    assert batch["pixel_values"].shape == (7, 3, 28, 28)
    assert batch["tile_of_group"].tolist() == [0, 1, 1, 1, 1, 1, 2]
    assert torch.allclose(batch["pixel_values"], torch.ones(1))
    assert batch_images([image(1, 64)], 28, blank=True)["pixel_values"].abs().sum() == 0


def test_a_chip_is_read_from_its_shard_and_kept_within_the_room_there_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    with contextlib.chdir(tmp_path):
        reader = ChipReader(UNIT, 28, cache_mb=0)
        shard = "data/chips/sentinel-1/a/shard-0000.parquet"
        first = reader.read(shard, "sentinel-1-a-000", "sentinel-1", ("VV", "VH"))
        for number in (1, 2, 0):
            again = reader.read(shard, f"sentinel-1-a-{number:03d}", "sentinel-1", ("VV", "VH"))
        assert torch.equal(first.pixels, again.pixels)
        with pytest.raises(TrainingError, match="is not in"):
            reader.read(shard, "elsewhere", "sentinel-1", ("VV", "VH"))


def test_bytes_that_are_no_geotiff_are_an_error_that_names_the_chip() -> None:
    with pytest.raises(TrainingError, match="chip x"):
        read_geotiff(b"not a tiff", "chip x")
    assert list(read_geotiff(geotiff(np.zeros((1, 8, 8), dtype=np.float32), ["VV"]), "chip y")) == ["VV"]


class Words:
    """A tokenizer of words, for lengths."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """One token a word."""
        return [len(word) for word in text.split()]


def sample(question: str, answer: str = "yes") -> Sample:
    """One conversation about one chip."""
    return Sample("c#0/ms", "c", "landsat", "ms", "s", ("B4",), ((question, answer),), ("presence",), 1)


def test_a_sample_that_is_too_long_is_rejected_by_name_and_never_cut() -> None:
    good, rejected = encode_samples([sample("<image>\nshort"), sample("<image>\n" + "long " * 50)], Words(), 4, 40)
    assert len(good) == 1 and isinstance(good[0][1], Encoded)
    assert rejected == [{"sample_id": "c#0/ms", "reason": "too-long", "detail": rejected[0]["detail"]}]
    assert "40 allowed" in rejected[0]["detail"]


def test_a_sample_with_two_slots_for_one_image_stops_the_stage() -> None:
    with pytest.raises(TrainingError, match=r"sample c#0/ms: 2 <image> in the text, but 1 images"):
        encode_samples([sample("<image> <image>\nWhat changed?")], Words(), 4, 40)


def test_the_bare_question_has_no_tags() -> None:
    assert bare_question("[classify] [s2_ms_10] <image>\nWhat is it?") == "What is it?"
    assert bare_question("<image>\nWhat is it?") == "What is it?"
    assert bare_question("And now?") == "And now?"
