"""All pairs of 64-bit hashes within a Hamming distance, without comparing every pair.

Multi-index hashing (Norouzi, Punjani, Fleet, Fast Search in Hamming Space with Multi-Index Hashing, 2012, section 3):
of two hashes that differ in at most r bits, at least one of the four quarters differs in at most r // 4 bits. Quarters
are looked up in tables, and only what they find is compared in full.
"""

from functools import cache
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]
QUARTERS = 4
BITS = 16
MAX_RADIUS = 11
"""Bits of a search; beyond it a quarter may differ in three, and looking up costs more than comparing every pair."""
MAX_PAIRS = 2**22
"""Candidates that are compared at a time, to bound the memory."""


class HashIndex:
    """Hashes to be found: the smaller side of a search, held in memory."""

    def __init__(self, hashes: Words) -> None:
        self.hashes = hashes
        self._order, self._starts = [], []
        for quarter in _quarters(hashes):
            # The entries sorted by this quarter, and where each of its 65,536 values begins.
            self._order.append(np.argsort(quarter, kind="stable"))
            counts = np.bincount(quarter, minlength=2**BITS)
            self._starts.append(np.concatenate([[0], np.cumsum(counts)]))

    def within(self, queries: Words, radius: int) -> tuple[Numbers, Numbers, Numbers]:
        """Every pair at most `radius` bits apart, sorted, each once.

        Args:
            queries: (m,).
            radius: 0 to `MAX_RADIUS`.

        Returns:
            Number of the query, number of the hash in the index, and their distance, (pairs,) each.

        Raises:
            ValueError: the radius is beyond what the tables are made for.
        """
        if not 0 <= radius <= MAX_RADIUS:
            raise ValueError(f"a radius of {radius} bits; 0 to {MAX_RADIUS} can be searched")
        masks = _neighbours(radius // QUARTERS)
        rows = max(1, MAX_PAIRS // (len(masks) * QUARTERS))
        found = [self._block(queries[start : start + rows], masks, radius) for start in range(0, len(queries), rows)]
        matches = [(query + number * rows, entry, distance) for number, (query, entry, distance) in enumerate(found)]
        if not matches:
            return (np.empty(0, np.int64),) * 3
        query, entry, distance = (np.concatenate(parts) for parts in zip(*matches, strict=True))
        return query, entry, distance

    def _block(self, queries: Words, masks: NDArray[np.int64], radius: int) -> tuple[Numbers, Numbers, Numbers]:
        keys: list[Numbers] = []
        for quarter, order, starts in zip(_quarters(queries), self._order, self._starts, strict=True):
            looked_up = quarter[:, None] ^ masks
            first, counts = starts[looked_up], starts[looked_up + 1] - starts[looked_up]
            query, column = np.nonzero(counts)
            length = counts[query, column]
            for low, high in _runs(length):
                some = slice(low, high)
                # Each range of entries written out: its first number, and how far along it each candidate is.
                ends = np.cumsum(length[some])
                along = np.arange(ends[-1]) - np.repeat(ends - length[some], length[some])
                entry = order[np.repeat(first[query[some], column[some]], length[some]) + along]
                queried = np.repeat(query[some], length[some])
                near = np.bitwise_count(queries[queried] ^ self.hashes[entry]) <= radius
                keys.append(queried[near] * len(self.hashes) + entry[near])
        # Two hashes that agree in several quarters are found once for each; the combined key makes them one.
        pairs = np.unique(np.concatenate(keys)) if keys else np.empty(0, np.int64)
        query, entry = np.divmod(pairs, max(1, len(self.hashes)))
        return query, entry, np.bitwise_count(queries[query] ^ self.hashes[entry]).astype(np.int64)


def _quarters(hashes: Words) -> list[Numbers]:
    return [((hashes >> np.uint64(BITS * number)) & np.uint64(2**BITS - 1)).astype(np.int64) for number in range(4)]


@cache
def _neighbours(bits: int) -> NDArray[np.int64]:
    """Every mask of a quarter with at most `bits` bits set."""
    masks = [sum(1 << bit for bit in chosen) for n in range(bits + 1) for chosen in combinations(range(BITS), n)]
    return np.array(masks, dtype=np.int64)


def _runs(lengths: Numbers) -> list[tuple[int, int]]:
    """Stretches of ranges that hold about `PAIRS` candidates together; none where there is no range."""
    if not len(lengths):
        return []
    block = np.cumsum(lengths) // MAX_PAIRS
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(lengths)]
    return list(pairwise(edges))
