"""Samples made up for benchmarks: random words and pixels in the sizes of real ones."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.presets import make_config
from models.parts.packing import positions, sample_ends

IMAGE_TOKEN, FIRST_WORD = 5, 10
IGNORED = -100
TILES, SHARES = (1, 3, 5, 7), (0.60, 0.10, 0.22, 0.08)
"""Tiles of an image of up to 600 pixels, of 1920 x 1080, of 1024 x 1024, and the most, thumbnails included."""


@dataclass(frozen=True)
class Made:
    """One sample: tokens, labels, and the groups of its tiles (T * K, 3, H, W)."""

    ids: Tensor
    labels: Tensor
    pixels: Tensor
    tiles: int


def network(preset: str, seed: int = 0, **changes: Any) -> EarthDialForConditionalGeneration:
    """A network of random weights."""
    torch.manual_seed(seed)
    return EarthDialForConditionalGeneration(make_config(preset, image_token_id=IMAGE_TOKEN, **changes))


def make(
    model: EarthDialForConditionalGeneration, count: int, groups: int, tiles: int | None = None, seed: int = 0
) -> list[Made]:
    """Samples of an image each and 3.8 to 5.1 pairs of some 40 tokens, half of them the answer.

    Args:
        model: the network they are for.
        count: samples.
        groups: of three bands, of each tile.
        tiles: of each image; drawn from `SHARES` if None.
        seed: of all that is random.
    """
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    config = model.config
    vocabulary = config.text_config.vocab_size
    out = []
    for _ in range(count):
        number = tiles or int(random.choice(TILES, p=SHARES))
        pairs = max(1, int(random.poisson(4.8)))
        words = 42 + pairs * int(np.clip(random.normal(38, 9), 12, 80))
        text = torch.randint(FIRST_WORD, vocabulary, (words,))
        visual = torch.full((number * config.tokens_per_tile,), IMAGE_TOKEN)
        ids = torch.cat([text[:30], visual, text[30:]])
        labels = torch.full_like(ids, IGNORED)
        labels[-(words // 2) :] = ids[-(words // 2) :]
        pixels = torch.randn(number * groups, 3, config.image_size, config.image_size)
        out.append(Made(ids, labels, pixels, number))
    return out


def images(samples: Sequence[Made]) -> dict[str, Tensor]:
    """The image arguments of the forward: all groups of all samples."""
    pixels = torch.cat([sample.pixels for sample in samples])
    each = torch.tensor([len(sample.pixels) // sample.tiles for sample in samples for _ in range(sample.tiles)])
    return {
        "pixel_values": pixels,
        "tile_of_group": torch.arange(len(each)).repeat_interleave(each),
        "wavelengths": torch.full((len(pixels), 3), 0.6),
        "band_mask": torch.ones(len(pixels), 3, dtype=torch.bool),
        "days": torch.zeros(len(pixels)),
    }


def packed(samples: Sequence[Made], max_length: int) -> dict[str, Any]:
    """One pack as arguments of the forward."""
    lengths = [len(sample.ids) for sample in samples]
    return {
        "input_ids": torch.cat([sample.ids for sample in samples])[None],
        "labels": torch.cat([sample.labels for sample in samples])[None],
        "position_ids": positions(lengths),
        "cu_seq_lens_q": sample_ends(lengths),
        "max_length_q": max_length,
        "skip_logits": True,
        **images(samples),
    }


def padded(samples: Sequence[Made], length: int | None = None) -> dict[str, Any]:
    """Samples side by side, padded to the longest or to `length`, under an attention mask."""
    longest = length or max(len(sample.ids) for sample in samples)

    def fill(row: Tensor, value: int) -> Tensor:
        return torch.nn.functional.pad(row, (0, longest - len(row)), value=value)

    return {
        "input_ids": torch.stack([fill(sample.ids, 0) for sample in samples]),
        "labels": torch.stack([fill(sample.labels, IGNORED) for sample in samples]),
        "attention_mask": torch.stack([fill(torch.ones_like(sample.ids), 0) for sample in samples]),
        **images(samples),
    }


def median_seconds(ways: Sequence[Callable[[], None]], rounds: int) -> list[float]:
    """Median time of each way; the first round does not count.

    They take turns, so that a machine that slows down slows all of them. With one thread the time is the processor's,
    which other work on the machine does not lengthen; with several it is the clock's.
    """
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    taken: list[list[float]] = [[] for _ in ways]
    for turn in range(rounds + 1):
        for way, seconds in zip(ways, taken, strict=True):
            began = clock()
            way()
            if turn:
                seconds.append(clock() - began)
    return [median(seconds) for seconds in taken]
