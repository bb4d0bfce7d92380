"""Training images are varied each time that they are shown, never where it would make an answer wrong."""

from dataclasses import replace

import pytest
import torch

from models.parts.image import Image
from tasks.training.augment import Augmentation, is_oriented, turned
from tasks.training.params import AugmentParams
from tasks.vlm.samples import ImageRef, Sample

CHIP = ImageRef("shard", "chip", "sentinel-2", "ms", ("B04",), 4, 4, None)
PLAIN = Sample("s", "chip", "sentinel-2", "ms", (CHIP,), (("<image>\nIs there any water?", "no"),), ("presence",), 1)
EVERYTHING = AugmentParams(turns=True, gain=0.2, shift=0.3)


def sample_of(question: str, answer: str) -> Sample:
    return replace(PLAIN, turns=((question, answer),))


def image(groups: int = 2) -> Image:
    mask = torch.ones(groups, 3, dtype=torch.bool)
    mask[-1, 2] = False
    pixels = torch.randn(groups, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * mask[..., None, None]
    return Image(pixels, torch.ones(groups, 3), mask, torch.zeros(groups))


def test_the_eight_turns_are_all_different_and_move_pixels_without_changing_them() -> None:
    square = torch.arange(16.0).reshape(1, 4, 4)
    seen = [turned(square, turn) for turn in range(8)]
    assert len({tuple(one.flatten().tolist()) for one in seen}) == 8
    assert all(torch.equal(one.flatten().sort().values, square.flatten()) for one in seen)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where does the water lie?", "north-west"),
        ("What covers the southeastern corner?", "forest"),
        ("What is at the top?", "forest"),
        ("Where is the ship?", "[[120, 30, 400, 88]]"),
        ("Where is the ship?", "<box>[[1, 2, 3, 4]]</box>"),
        ("What is in {<10><20><30><40>|<0>}?", "a ship"),
        ("What is within [12, 20, 31, 44]?", "a ship"),
    ],
)
def test_an_image_whose_conversation_tells_of_sides_or_boxes_keeps_its_sides(question: str, answer: str) -> None:
    sample = sample_of(question, answer)
    assert is_oriented(sample)
    turns_only = AugmentParams(turns=True, gain=0, shift=0)
    assert all(
        torch.equal(Augmentation(turns_only, sample, (seed,))(image()).pixels, image().pixels) for seed in range(12)
    )


@pytest.mark.parametrize("answer", ["water, forest", "yes", "between a quarter and a half", "Northumberland has 3"])
def test_other_conversations_do_not_hold_an_image_in_place(answer: str) -> None:
    assert not is_oriented(sample_of("[classify] [s2_ms_10] <image>\nWhat is here?", answer))


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    first, again, other = (Augmentation(EVERYTHING, PLAIN, seed)(image()).pixels for seed in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_dates_of_a_sample_are_turned_alike() -> None:
    turns_only = AugmentParams(turns=True, gain=0, shift=0)
    for seed in range(8):
        change = Augmentation(turns_only, PLAIN, (seed,))
        assert torch.equal(change(image()).pixels, change(image()).pixels)


def test_planes_that_are_not_there_stay_zero() -> None:
    changed = Augmentation(EVERYTHING, PLAIN, (5,))(image()).pixels
    assert not changed[-1, 2].any()
    assert changed[0].any()
