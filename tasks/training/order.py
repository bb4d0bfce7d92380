"""Which samples a step sees, and its learning rate: pure functions of the step, so that a resume needs no
state.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Order:
    """Samples in shuffled epochs; every sample is seen `repeats` times an epoch, on any number of workers."""

    repeats: Sequence[int]
    batch: int
    epochs: float
    seed: int
    max_steps: int | None = None
    _shuffled: dict[int, list[int]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def epoch_size(self) -> int:
        """Samples of one epoch."""
        return sum(self.repeats)

    @property
    def steps(self) -> int:
        """Steps of the whole run; at least one."""
        whole = max(1, math.ceil(self.epoch_size * self.epochs / self.batch))
        return min(whole, self.max_steps or whole)

    def epoch(self, number: int) -> list[int]:
        """Indices of one epoch, shuffled by seed and number alone."""
        if number not in self._shuffled:
            self._shuffled.clear()
            indices = np.repeat(np.arange(len(self.repeats)), self.repeats)
            self._shuffled[number] = np.random.default_rng([self.seed, number]).permutation(indices).tolist()
        return self._shuffled[number]

    def samples(self, step: int) -> list[int]:
        """Indices of the samples of `step`, counted from 0. The last step of the run may be short."""
        end = min((step + 1) * self.batch, math.ceil(self.epoch_size * self.epochs))
        out: list[int] = []
        place = step * self.batch
        while place < end:
            number, offset = divmod(place, self.epoch_size)
            out += self.epoch(number)[offset : offset + end - place]
            place = step * self.batch + len(out)
        return out


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Rising straight over the first `warmup` share of `steps`, then falling to zero along a cosine.

    Args:
        step: counted from 0.
        steps: of the whole run.
        peak: the highest rate.
        warmup: share of the steps, 0 to 1; EarthDial takes 0.03.
    """
    rising = math.ceil(warmup * steps)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
