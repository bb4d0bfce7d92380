"""Training step on RGB samples: packed, beside the same samples padded to the longest of each batch.

    python -m benchmarks.train_step [--preset small] [--samples 24] [--rounds 5] [--threads 2] [--frozen-vision]

All ways see the same samples, with the same network, and take forward and backward. The reference (EarthDial) pads
batches of two samples to the longer one and works out the logits of every token. Other batches are shown beside it:
larger ones pad more, and a fixed length is what a loader without packing needs where shapes must not change.
"""

import argparse
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.synthetic import Made, make, median_seconds, network, packed, padded
from models.earthdial.model import PARTS
from models.parts.packing import attend_within_samples
from tasks.training.packing import pack

LENGTH = 1024


def run(model: Any, attention: str, batches: list[dict[str, Any]]) -> None:
    """Forward and backward over some batches."""
    model.model.language_model.config._attn_implementation = attention
    for batch in batches:
        model(**batch, use_cache=False).loss.backward()
    model.zero_grad(set_to_none=True)


def in_turn(samples: list[Made], size: int, length: int | None = None) -> list[dict[str, Any]]:
    """Padded batches of `size` samples, in the order they come."""
    return [padded(samples[start : start + size], length) for start in range(0, len(samples), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frozen-vision", action="store_true", help="as in stages 2 and 3")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = network(options.preset)
    model.train_parts([part for part in PARTS if part != "vision" or not options.frozen_vision])
    samples = make(model, options.samples, groups=1)
    lengths = np.array([len(sample.ids) for sample in samples])
    tiles = np.array([sample.tiles for sample in samples])
    packs = pack(np.arange(len(samples)), lengths, tiles, LENGTH, LENGTH, [0])
    full = [packed([samples[index] for index in packs[number]], LENGTH) for number in range(len(packs))]
    attend_within_samples(model.model.language_model)
    others = {"batches of 2, padded (the reference)": in_turn(samples, 2), "batches of 8, padded": in_turn(samples, 8)}
    others[f"one by one, padded to {LENGTH}"] = in_turn(samples, 1, LENGTH)
    ways = [partial(run, model, "packed", full), *(partial(run, model, "sdpa", batches) for batches in others.values())]
    ours, *theirs = median_seconds(ways, options.rounds)
    vision = "frozen" if options.frozen_vision else "trained"
    print(f"{options.preset}, vision {vision}, {len(samples)} samples of {lengths.mean():.0f} tokens and ", end="")
    print(f"{tiles.mean():.1f} tiles, {options.threads} threads, median of {options.rounds} rounds")
    print(f"{'packs of ' + str(LENGTH):<40}{ours:>8.2f} s  fill {lengths.sum() / (len(packs) * LENGTH):.3f}")
    for (name, batches), seconds in zip(others.items(), theirs, strict=True):
        fill = lengths.sum() / sum(batch["input_ids"].numel() for batch in batches)
        print(f"{name:<40}{seconds:>8.2f} s  fill {fill:.3f}  packed is {seconds / ours:.2f} x as fast")


if __name__ == "__main__":
    main()
