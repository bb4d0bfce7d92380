"""How often each value of a band comes in many chips: mean, deviation, percentiles and histogram in one pass.

Numbers of a scene's files are few (16 bits), so each different one is counted: everything is exact. Of floats that have
more than `MOST` different values, those are counted together that share the upper bits of the float; as many bits as
leave `MOST` of them. Count, mean, deviation and bounds stay exact. A percentile is then off by half the width of such
a bin, and the histogram by those values of a bin that lie beyond one of its edges. Measured on the sample's radar
(700,000 different values in dB): 6e-6 of the value, and 6e-5 of all values in the bin beside theirs; `MOST` bins over
ten powers of two are some 1e-4 of the value wide, whatever the number of chips.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 1 << 17
"""Different values that are held of a band: 1.5 MB, twice that while they are merged."""
_NUMBERS = 1 << 16
Floats = NDArray[np.float32]
Counts = NDArray[np.int64]


@dataclass
class ValueCounts:
    """Values of one band."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared distances from the mean."""
    low: float = np.inf
    high: float = -np.inf
    _shift: int = 0
    """Lower bits of the floats that are left out."""
    _keys: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))
    _counts: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    _new: list[tuple[NDArray[np.uint32], Counts | int]] = field(default_factory=list)
    _waiting: int = 0

    def add_numbers(self, numbers: NDArray[Any], scale: float, offset: float, nodata: float, times: int = 1) -> None:
        """Take in a plane as it is stored, each of its pixels `times`.

        Args:
            numbers: of any shape and type.
            scale: physical = number * scale + offset, in float32.
            offset: in the unit of the physical values.
            nodata: the number that stands for no data; NaN for none. Of floats NaN is none either.
            times: how many pixels of the chip one of the plane stands for.
        """
        if numbers.dtype.kind not in "iu" or numbers.dtype.itemsize > 2:
            values = numbers[np.isfinite(numbers) & (numbers != nodata)].astype(np.float32).ravel()
            found: Counts | int = 1
        else:
            least = np.iinfo(numbers.dtype).min
            counts = np.bincount(numbers.ravel().astype(np.int64) - least if least else numbers.ravel(), minlength=1)
            held = np.flatnonzero(counts)
            values, found = (held + least).astype(np.float32), counts[held]
            if not np.isnan(nodata):
                kept = held + least != nodata
                values, found = values[kept], found[kept]
        if (scale, offset) != (1, 0):
            values = values * np.float32(scale) + np.float32(offset)
        self.add(values, found * times)

    def add(self, values: Floats, counts: Counts | int) -> None:
        """Take in finite values, each as often as its count says, or all so often."""
        if not len(values):
            return
        wide = values.astype(np.float64)
        if isinstance(counts, int):
            total, mean = len(values) * counts, float(wide.mean())
            wide -= mean
            squares = float(wide @ wide) * counts
        else:
            total = int(counts.sum())
            mean = float(wide @ counts) / total
            squares = float((wide - mean) ** 2 @ counts)
        self._merge(total, mean, squares)
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        self._new.append((ordered_bits(values) >> np.uint32(self._shift), counts))
        self._waiting += len(values)
        if self._waiting > MOST:
            self._settle()

    @property
    def deviation(self) -> float:
        """Standard deviation, of all values and not of a sample of them."""
        return float(np.sqrt(self.squares / self.count))

    def percentile(self, percent: float) -> float:
        """The least value that so many percent of all are not above."""
        values, counts = self._values()
        rank = max(1, int(np.ceil(self.count * percent / 100)))
        return float(values[np.searchsorted(counts.cumsum(), rank)])

    def histogram(self, bins: int) -> tuple[NDArray[np.float64], Counts]:
        """Edges from the least to the largest value, (bins + 1,), and counts, (bins,)."""
        edges = np.linspace(self.low, self.high if self.high > self.low else self.low + 1, bins + 1)
        values, counts = self._values()
        return edges, np.histogram(values, edges, weights=counts)[0]

    def _merge(self, count: int, mean: float, squares: float) -> None:
        """By Chan's formula, so that the order of summation is harmless."""
        total, step = self.count + count, mean - self.mean
        self.squares += squares + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count = total

    def _settle(self) -> None:
        """Merge what came in, and leave out as many bits as there are too many different values."""
        found = [(self._keys, self._counts)]
        found += [(keys, counts) for keys, counts in self._new if not isinstance(counts, int)]
        for times in sorted({counts for _, counts in self._new if isinstance(counts, int)}):
            # Sorting values alone is many times as fast as sorting them with their counts.
            alike = [keys for keys, counts in self._new if isinstance(counts, int) and counts == times]
            keys = np.sort(np.concatenate(alike))
            starts = _starts(keys)
            found.append((keys[starts], np.diff(starts, append=len(keys)) * times))
        self._new, self._waiting = [], 0
        self._keys, self._counts = _together(*(np.concatenate(some) for some in zip(*found, strict=True)))
        while len(self._keys) > MOST:
            self._shift += 1
            self._keys, self._counts = _together(self._keys >> np.uint32(1), self._counts)

    def _values(self) -> tuple[Floats, Counts]:
        """Different values, rising, and their counts; of several that are counted together the middle."""
        if self._new:
            self._settle()
        bits = self._keys << np.uint32(self._shift)
        if self._shift:
            bits |= np.uint32(1 << (self._shift - 1))
        return np.clip(from_ordered_bits(bits), np.float32(self.low), np.float32(self.high)), self._counts


def _together(keys: NDArray[np.uint32], counts: Counts) -> tuple[NDArray[np.uint32], Counts]:
    order = np.argsort(keys, kind="stable")  # of runs that are sorted already
    keys = keys[order]
    starts = _starts(keys)
    return keys[starts], np.add.reduceat(counts[order], starts)


def _starts(keys: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Where each different one of sorted keys begins."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def ordered_bits(values: Floats) -> NDArray[np.uint32]:
    """Bits of finite float32 values as integers that rise with the values."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31)).astype(np.uint32)


def from_ordered_bits(bits: NDArray[np.uint32]) -> Floats:
    """The values whose `ordered_bits` these are."""
    raw = np.where(bits >> 31, bits & np.uint32(0x7FFFFFFF), ~bits).astype(np.uint32)
    return raw.view(np.float32)
