"""Batches for training: sequences padded on the right, the images of all of them in one flat list of
groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.earthdial.prompt import IGNORED, Encoded
from tasks.inference.pixels import ChipReader, batch_images
from tasks.inference.samples import Sample


@dataclass(frozen=True)
class Batch:
    """Arguments of the model's `forward`, and what they cost."""

    inputs: dict[str, Tensor]
    targets: int
    tokens: int
    visual_tokens: int
    padding: int

    @property
    def groups(self) -> int:
        """Groups of bands that go through the encoder."""
        return len(self.inputs["pixel_values"])


class Data:
    """Encoded samples of one split, and the images they speak of."""

    def __init__(
        self, samples: Sequence[tuple[Sample, Encoded]], chips: ChipReader, size: int, visual: int, pad: int
    ) -> None:
        self.samples = samples
        self.chips = chips
        self.size, self.visual, self.pad = size, visual, pad

    def batches(self, indices: Sequence[int], most: int) -> Iterator[Batch]:
        """The samples of one step, at most `most` a forward pass."""
        for start in range(0, len(indices), most):
            yield self.collate(indices[start : start + most])

    def collate(self, indices: Sequence[int]) -> Batch:
        """One forward pass."""
        chosen = [self.samples[index] for index in indices]
        images = [self.chips.read(s.shard, s.chip_id, s.sensor, s.bands) for s, _ in chosen]
        ids, labels, mask = pad_right([encoded for _, encoded in chosen], self.pad)
        inputs = {
            "input_ids": ids,
            "labels": labels,
            "attention_mask": mask,
            **batch_images(images, self.size),
        }
        tokens = int(mask.sum())
        return Batch(
            inputs=inputs,
            targets=sum(encoded.targets for _, encoded in chosen),
            tokens=tokens,
            visual_tokens=self.visual * len(images),
            padding=mask.numel() - tokens,
        )


def pad_right(encoded: Sequence[Encoded], pad: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences of different lengths -> ids, labels and attention mask, each (B, L)."""
    length = max(len(one.ids) for one in encoded)
    ids = torch.full((len(encoded), length), pad, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(encoded):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        labels[row, : len(one.ids)] = torch.tensor(one.labels)
        mask[row, : len(one.ids)] = 1
    return ids, labels, mask
