"""From the layout of published weights to ours and back: which tensors become which."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class PublishedError(ValueError):
    """A configuration in the published layout that this network cannot stand for."""


@dataclass(frozen=True)
class Step:
    """The tensors `sources`, one below the other, are those of `targets`, which are of equal height."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def inverse(self) -> "Step":
        """The way back."""
        return Step(self.targets, self.sources)

    def __call__(self, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors of `sources` -> those of `targets`, none sharing memory with another."""
        if len(self.sources) == len(self.targets) == 1:
            return {self.targets[0]: tensors[0]}
        # Copied: parts of one tensor share its storage, and safetensors refuses to write those.
        whole = torch.cat(list(tensors))
        return {name: part.clone() for name, part in zip(self.targets, whole.chunk(len(self.targets)), strict=True)}
