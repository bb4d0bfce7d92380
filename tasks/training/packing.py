"""Samples into packs: sequences filled to the brim, so that a step works on tokens and not on padding.

Best fit, the largest first, over windows of the shuffled samples. Within a window samples of one size are
alike, and so are packs with the same room left: both are worked on as a class, not one by one, which is what
makes it fast (the idea of histogram packing, Krell et al. 2021, arXiv 2107.02027, with a second limit: band
groups, which are what the vision encoder costs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import TrainingError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Packs:
    """Packs as one flat array: the samples of pack k are `samples[ends[k - 1] : ends[k]]`."""

    samples: Ints
    ends: Ints

    def __len__(self) -> int:
        """Number of packs."""
        return len(self.ends)

    def __getitem__(self, number: int) -> Ints:
        """Indices of the samples of one pack, counted from 0."""
        return self.samples[self.ends[number - 1] if number else 0 : self.ends[number]]


def pack(
    indices: Ints,
    lengths: Ints,
    groups: Ints,
    max_length: int,
    max_groups: int,
    seed: Sequence[int],
    batch: int = 1,
    window: int = 4096,
) -> Packs:
    """Every entry of `indices` in exactly one pack; the packs of a window in random order, every kind in every step.

    Samples of one size tend to lie in packs of one kind: many short ones here, two long ones there. So that a step
    of `batch` packs is like the whole, it takes them from as many strata between the longest and the shortest.

    Args:
        indices: of samples, shuffled; one that is to be seen twice stands there twice.
        lengths: tokens of each sample.
        groups: band groups of each sample, over all its tiles.
        max_length: tokens of a pack.
        max_groups: band groups of a pack.
        seed: of the order of the packs; the same seed gives the same packs.
        batch: packs of a step.
        window: entries of `indices` that are packed together. Larger ones are packed faster and a little fuller, but
            mix less: a sample shares its pack with some of its window, whichever sizes fit.

    Raises:
        TrainingError: a sample is larger than a pack.
    """
    too_large = np.flatnonzero((lengths[indices] > max_length) | (groups[indices] > max_groups))
    if len(too_large):
        first = indices[too_large[0]]
        raise TrainingError(
            f"sample {first} has {lengths[first]} tokens and {groups[first]} band groups; a pack holds "
            f"{max_length} and {max_groups}. Raise train.*.max_length or max_groups"
        )
    random = np.random.default_rng(list(seed))
    samples, ends, done = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for start in range(0, len(indices), window):
        some = indices[start : start + window]
        pack_of, count = _best_fit(lengths[some], groups[some], max_length, max_groups)
        place = _interleaved(count, batch, random)[pack_of]
        samples.append(some[np.argsort(place, kind="stable")])
        ends.append(done + np.bincount(place, minlength=count).cumsum())
        done += len(some)
    return Packs(np.concatenate(samples), np.concatenate(ends))


def _interleaved(count: int, strata: int, random: np.random.Generator) -> Ints:
    """A place for each of `count` packs, each stratum of neighbours shuffled and spread evenly over the places."""
    stratum = np.arange(count) * strata // count
    shuffled = np.lexsort((random.random(count), stratum))
    size = np.bincount(stratum, minlength=strata)
    rank = np.empty(count, np.int64)
    rank[shuffled] = np.arange(count) - np.repeat(size.cumsum() - size, size)
    place = np.empty(count, np.int64)
    place[np.lexsort((random.random(count), (rank + 0.5) / size[stratum]))] = np.arange(count)
    return place


def _best_fit(lengths: Ints, groups: Ints, max_length: int, max_groups: int) -> tuple[Ints, int]:
    """(pack of each sample, number of packs) of one window."""
    weight = np.maximum(lengths * max_groups, groups * max_length)
    size = (weight * (max_length + 1) + lengths) * (max_groups + 1) + groups
    by_size = np.argsort(-size, kind="stable")
    sizes = size[by_size]
    bounds = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
    tokens, bands = lengths[by_size[bounds[:-1]]].tolist(), groups[by_size[bounds[:-1]]].tolist()
    rooms = _Rooms(max_length, max_groups, int(lengths.min()), int(groups.min()))
    packs = np.empty(len(lengths), np.int64)
    for number, (need, bands_needed) in enumerate(zip(tokens, bands, strict=True)):
        place, end = bounds[number], bounds[number + 1]
        while place < end:
            opened, copies = rooms.fill(need, bands_needed, end - place)
            taken = min(len(opened) * copies, end - place)
            packs[place : place + taken] = np.repeat(opened, copies)[:taken] if copies > 1 else opened
            place += taken
    out = np.empty_like(packs)
    out[by_size] = packs
    return out, rooms.count


class _Rooms:
    """Open packs by the room left in them, the tokens that are left as bits of one integer."""

    def __init__(self, max_length: int, max_groups: int, min_tokens: int, min_bands: int) -> None:
        self.max = (max_length, max_groups)
        self.min = (min_tokens, min_bands)
        self.count = 0
        self._bits = 0
        self._open: dict[int, dict[int, list[int]]] = {}

    def fill(self, tokens: int, bands: int, count: int) -> tuple[list[int], int]:
        """Packs that take up to `count` samples of one size, and how many each takes; the last may take fewer.

        They are those with the least room that is still enough, or new ones if there are none.
        """
        bits, room = self._bits >> tokens, tokens
        while bits:
            step = (bits & -bits).bit_length() - 1
            room += step
            left = [have for have in self._open[room] if have >= bands]
            if left:
                return self._take(room, min(left), tokens, bands, count)
            bits, room = bits >> step + 1, room + 1
        copies = self._copies(*self.max, tokens, bands, count)
        first, self.count = self.count, self.count + -(-count // copies)
        return self._put(list(range(first, self.count)), *self.max, tokens, bands, copies, count)

    def _take(self, room: int, have: int, tokens: int, bands: int, count: int) -> tuple[list[int], int]:
        packs = self._open[room][have]
        copies = self._copies(room, have, tokens, bands, count)
        number = min(len(packs), -(-count // copies))
        taken = packs[-number:]
        del packs[-number:]
        if not packs:
            del self._open[room][have]
            if not self._open[room]:
                self._bits ^= 1 << room
        return self._put(taken, room, have, tokens, bands, copies, count)

    def _put(
        self, packs: list[int], room: int, have: int, tokens: int, bands: int, copies: int, count: int
    ) -> tuple[list[int], int]:
        """Note the room left in `packs` after each took `copies`, the last one perhaps fewer."""
        short = len(packs) * copies - count
        full = packs[:-1] if short > 0 else packs
        self._note(full, room - copies * tokens, have - copies * bands)
        if short > 0:
            self._note(packs[-1:], room - (copies - short) * tokens, have - (copies - short) * bands)
        return packs, copies

    def _note(self, packs: list[int], room: int, have: int) -> None:
        if packs and room >= self.min[0] and have >= self.min[1]:
            self._open.setdefault(room, {}).setdefault(have, []).extend(packs)
            self._bits |= 1 << room

    @staticmethod
    def _copies(room: int, have: int, tokens: int, bands: int, count: int) -> int:
        return min(room // tokens, have // bands if bands else count, count)
