"""Which packs of samples a step sees, and its learning rate: pure functions of the step, so that a resume needs no
state and any number of processes sees the same.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from tasks.training.packing import Ints, Packs, pack


@dataclass(frozen=True)
class Sizes:
    """What each sample costs: one entry a sample in each array."""

    lengths: Ints
    """Tokens, visual ones included."""
    groups: Ints
    """Band groups over all its tiles."""
    targets: Ints
    """Tokens a loss is taken on."""
    tiles: Ints
    """Tiles of all its images, thumbnails included."""
    repeats: Ints
    """Times it is seen in an epoch."""


@dataclass(frozen=True)
class Plan:
    """Packs of shuffled epochs; every sample is seen `repeats` times an epoch, on any number of processes.

    A pack holds samples of one epoch only. Where `epochs` ends within an epoch, that share of its packs is seen.
    """

    sizes: Sizes
    max_length: int
    max_groups: int
    batch: int
    """Packs a step."""
    epochs: float
    seed: int
    max_steps: int | None = None
    window: int = 4096
    """Samples packed together; see `pack`."""
    _epochs: list[Packs] = field(default_factory=list, repr=False, compare=False)
    _ends: list[int] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Pack as many epochs as the run needs."""
        done, max_packs = 0, math.inf if self.max_steps is None else self.max_steps * self.batch
        for number in range(math.ceil(self.epochs)):
            if done >= max_packs:
                break
            packs = self._pack_epoch(number)
            done += min(len(packs), max(1, math.ceil(len(packs) * (self.epochs - number))))
            self._epochs.append(packs)
            self._ends.append(done)

    def _pack_epoch(self, number: int) -> Packs:
        """One epoch, shuffled by seed and number alone."""
        # Repeated before the shuffle, so that copies of a sample lie apart.
        entries = np.repeat(np.arange(len(self.sizes.repeats)), self.sizes.repeats)
        shuffled = np.random.default_rng([self.seed, number]).permutation(entries)
        sizes = self.sizes
        limits = (self.max_length, self.max_groups)
        return pack(shuffled, sizes.lengths, sizes.groups, *limits, (self.seed, number), self.batch, self.window)

    @property
    def steps(self) -> int:
        """Steps of the whole run; at least one."""
        whole = math.ceil(self._ends[-1] / self.batch)
        return min(whole, self.max_steps or whole)

    def packs(self, step: int) -> list[Ints]:
        """Samples of each pack of `step`, counted from 0. The last step of the run may have fewer packs."""
        end = min((step + 1) * self.batch, self._ends[-1])
        return [self._pack(number) for number in range(step * self.batch, end)]

    def epoch_at(self, step: int) -> float:
        """Epochs that have been seen when `step` begins."""
        place = min(step * self.batch, self._ends[-1])
        number = int(np.searchsorted(self._ends, place, side="right"))
        if number == len(self._ends):
            return self.epochs
        return number + (place - self._start(number)) / len(self._epochs[number])

    def targets(self, step: int) -> int:
        """Tokens of `step`, over all processes, that a loss is taken on."""
        return int(sum(self.sizes.targets[indices].sum() for indices in self.packs(step)))

    def tiles(self, step: int) -> int:
        """Tiles of all images of `step`, over all processes."""
        return int(sum(self.sizes.tiles[indices].sum() for indices in self.packs(step)))

    def fill(self) -> float:
        """Share of the places in the packs of the first epoch that hold a token."""
        packs = self._epochs[0]
        return float(self.sizes.lengths[packs.samples].sum() / (len(packs) * self.max_length))

    def _start(self, epoch: int) -> int:
        return self._ends[epoch - 1] if epoch else 0

    def _pack(self, number: int) -> Ints:
        epoch = int(np.searchsorted(self._ends, number, side="right"))
        return self._epochs[epoch][number - self._start(epoch)]


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Rising straight over the first `warmup` share of `steps`, then falling to zero along a cosine.

    Args:
        step: counted from 0.
        steps: of the whole run.
        peak: the highest rate.
        warmup: share of the steps, 0 to 1; EarthDial takes 0.03.
    """
    rising = math.ceil(warmup * steps)
    # From the first step on above zero: a step at rate 0 would read its samples for nothing.
    if step < rising:
        return peak * (step + 1) / rising
    # Warm-up and cosine as EarthDial and InternVL take them (spec, section 3.1).
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))
