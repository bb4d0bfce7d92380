"""A batch of 12-band samples, forward and backward: all groups in one call, beside one group and one sample at a time.

    python -m benchmarks.multispectral [--preset small] [--samples 16] [--rounds 5] [--threads 2]

Both freeze the vision encoder, as stage 3 does, so that neither takes a gradient through it, and both show an image
in one tile and its tokens once. The reference (EarthDial) encodes each group of three bands of each sample by itself,
lays the groups out as a mosaic, and pads batches of two samples; ours encodes all groups in one call, fuses them by
attention, which it trains, and packs the samples. One sample at a time, padded to the length of a pack, is what a
loader without packing needs where shapes must not change. The encoder alone is shown as well.
"""

import argparse
from functools import partial
from typing import Any

import torch

from benchmarks.synthetic import Made, images, make, median_seconds, network, packed, padded
from models.parts.packing import attend_within_samples

GROUPS = 4
LENGTH = 1024


def ours(model: Any, packs: list[dict[str, Any]]) -> None:
    """All groups of a pack in one call."""
    model.model.language_model.config._attn_implementation = "packed"
    for batch in packs:
        model(**batch, use_cache=False).loss.backward()
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def one_by_one(model: Any, sample: Made) -> torch.Tensor:
    """Encoded groups of one sample (K, P, C), one at a time."""
    groups = [model.model.vision_tower(pixel_values=group[None]).last_hidden_state[:, 1:] for group in sample.pixels]
    return torch.cat(groups)


def reference(model: Any, samples: list[Made], size: int, length: int | None) -> None:
    """Features in the loader, one group at a time; then batches of `size`, padded to the longest or to `length`."""
    inner = model.model
    inner.language_model.config._attn_implementation = "sdpa"
    for start in range(0, len(samples), size):
        batch = samples[start : start + size]
        encoded = torch.cat([one_by_one(model, sample) for sample in batch])
        tiles = inner.band_fusion(encoded, torch.arange(len(batch)).repeat_interleave(GROUPS))
        side = round(tiles.shape[1] ** 0.5)
        shuffled = inner.pixel_shuffle(tiles.reshape(len(batch), side, side, -1), scale_factor=0.5)
        tokens = inner.multi_modal_projector(shuffled.reshape(len(batch), -1, shuffled.shape[-1]))
        inputs = {k: v for k, v in padded(batch, length).items() if k in ("input_ids", "labels", "attention_mask")}
        features = type("Features", (), {"pooler_output": tokens})()
        model(**inputs, mm_encoder_outputs={"image": features}, use_cache=False).loss.backward()
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def encode_together(model: Any, samples: list[Made]) -> None:
    """All groups of all samples through the encoder in one call."""
    model.model.vision_tower(pixel_values=images(samples)["pixel_values"])


def encode_apart(model: Any, samples: list[Made]) -> None:
    """Each group of each sample through the encoder by itself."""
    for sample in samples:
        one_by_one(model, sample)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    new, released = network(options.preset), network(options.preset, fusion="mosaic")
    new.train_parts(["fusion", "projector", "language"])
    released.train_parts(["projector", "language"])
    samples = make(new, options.samples, GROUPS, tiles=1)
    mean = sum(len(sample.ids) for sample in samples) / len(samples)
    each = int(LENGTH // mean)
    packs = [packed(samples[start : start + each], LENGTH) for start in range(0, len(samples), each)]
    attend_within_samples(new.model.language_model)
    whole = {
        "batches of 2, padded (the reference)": partial(reference, released, samples, 2, None),
        f"one sample at a time, padded to {LENGTH}": partial(reference, released, samples, 1, LENGTH),
    }
    encoder = {"one group at a time": partial(encode_apart, released, samples)}
    parts = {
        "forward and backward": (partial(ours, new, packs), whole),
        "vision encoder alone": (partial(encode_together, new, samples), encoder),
    }
    print(
        f"{options.preset}, {len(samples)} samples of 12 bands and {mean:.0f} tokens, {options.threads} threads, ",
        end="",
    )
    print(f"median of {options.rounds} rounds")
    for name, (together, others) in parts.items():
        fast, *slow = median_seconds([together, *others.values()], options.rounds)
        print(f"{name}: all groups in one call {fast:.2f} s")
        for other, seconds in zip(others, slow, strict=True):
            print(f"  {other:<40}{seconds:>8.2f} s  together is {seconds / fast:.2f} x as fast")


if __name__ == "__main__":
    main()
