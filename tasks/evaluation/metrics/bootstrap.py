"""Scores from sums: every metric here is a function of additive statistics, so that it can be resampled.

`MetricSums` keep the statistics of the distinct rows once, and which of them each row is. A million yes/no answers are
four distinct rows, and a bootstrap over them is one draw from a multinomial distribution: the same distribution as
drawing a million rows with replacement, without drawing them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_array

Array = NDArray[np.float64]
Metrics = Callable[[Array], Mapping[str, Array]]
"""From summed statistics (..., k) to the metrics of each sum, (...), in percent."""
MAX_CELLS = 20_000_000
"""Cells of one block of draws, to bound the memory."""


@dataclass(frozen=True)
class MetricSums:
    """Additive statistics of rows, and the metrics that their sums give."""

    distinct: Array
    """(distinct, k)."""
    index: NDArray[np.int64]
    """Which of the distinct ones each row is, (rows,)."""
    metrics: Metrics
    row: NDArray[np.int64]
    """Which row of the file each is, (rows,)."""

    @classmethod
    def of_rows(cls, statistics: Array, metrics: Metrics) -> "MetricSums":
        """From the statistics of every row, (rows, k)."""
        distinct, index = distinct_rows(statistics)
        return cls.of(distinct, index, metrics)

    @classmethod
    def of(cls, distinct: Array, index: NDArray[np.int64], metrics: Metrics) -> "MetricSums":
        """From distinct statistics, and which of them every row of the file has."""
        return cls(distinct, index, metrics, np.arange(len(index)))

    def __len__(self) -> int:
        """Rows that are counted."""
        return len(self.index)

    def rows(self, where: NDArray[Any]) -> "MetricSums":
        """Some of the rows, by a mask or by numbers."""
        return replace(self, index=self.index[where], row=self.row[where])

    def scores(self) -> dict[str, float]:
        """Every metric over all rows."""
        counts = np.bincount(self.index, minlength=len(self.distinct)).astype(np.float64)
        return {name: float(value) for name, value in self.metrics(counts @ self.distinct).items()}

    def at_rows(self, row: NDArray[np.int64]) -> "MetricSums":
        """The same, its rows being these of the file."""
        return replace(self, row=row[self.row])

    def intervals(self, groups: NDArray[np.int64] | None, draws: int, seed: int) -> dict[str, list[float]]:
        """Percentile interval of each metric, 95 %, by a bootstrap over groups, or rows if there are none.

        `groups` has a number for every row of the file. One group or row says nothing about the variance: the interval
        is the whole scale, 0 to 100.
        """
        if len(self if groups is None else np.unique(groups[self.row])) < 2:
            return {name: [0.0, 100.0] for name in self.scores()}
        resampled = self.resampled(groups, draws, seed)
        return {
            name: [float(edge) for edge in np.nanquantile(values, [0.025, 0.975])] for name, values in resampled.items()
        }

    def resampled(self, groups: NDArray[np.int64] | None, draws: int, seed: int) -> dict[str, Array]:
        """Every metric of `draws` resamples, (draws,)."""
        # Questions about one image are right or wrong together: resampling rows would give intervals that are too
        # narrow. So whole images are drawn, each with the sums of its rows.
        if groups is None:
            units, which = distinct_rows(self.distinct)
            counts = np.bincount(which[self.index], minlength=len(units))
        else:
            units, which = distinct_rows(self._sums(groups[self.row]))
            counts = np.bincount(which, minlength=len(units))
        # A selection of rows keeps the table of distinct statistics whole; unused ones would only cost memory.
        present = counts > 0
        units, counts = units[present], counts[present]
        rng = np.random.default_rng(seed)
        # Block by block, from one generator: how large a block is changes the memory and no draw.
        block = max(1, MAX_CELLS // max(1, len(units)))
        sums = np.concatenate(
            [
                rng.multinomial(counts.sum(), counts / counts.sum(), min(block, draws - start)).astype(float) @ units
                for start in range(0, draws, block)
            ]
        )
        return {name: np.asarray(values, dtype=np.float64) for name, values in self.metrics(sums).items()}

    def _sums(self, groups: NDArray[np.int64]) -> Array:
        """Sums of the statistics of each group, (groups, k)."""
        _, number = np.unique(groups, return_inverse=True)
        shape = (int(number.max()) + 1, len(self.distinct))
        sums: Array = coo_array((np.ones(len(number)), (number, self.index)), shape=shape).tocsr() @ self.distinct
        return sums


def joined(first: MetricSums, second: MetricSums) -> MetricSums:
    """The statistics of two metrics of the same rows as one; where names agree, the second's are taken."""
    width = first.distinct.shape[1]
    # One number for each pair of codes, so that only the pairs that occur are kept, not the product of both tables.
    pairs, index = np.unique(first.index * len(second.distinct) + second.index, return_inverse=True)
    one, other = np.divmod(pairs, len(second.distinct))

    def metrics(sums: Array) -> dict[str, Array]:
        return {**first.metrics(sums[..., :width]), **second.metrics(sums[..., width:])}

    statistics = np.concatenate([first.distinct[one], second.distinct[other]], axis=1)
    return replace(first, distinct=statistics, index=index, metrics=metrics)


def distinct_rows(statistics: Array) -> tuple[Array, NDArray[np.int64]]:
    """The distinct rows of (rows, k), and which of them each row is."""
    index, first = codes(pl.from_numpy(statistics))
    return statistics[first], index


def codes(frame: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A number for each distinct row of a frame, in order of appearance.

    Returns:
        The number of each row, (rows,), and the first row that has each number, (distinct,).
    """
    keys = frame.columns
    marked = frame.with_row_index("__row")
    firsts = marked.group_by(keys, maintain_order=True).agg(pl.col("__row").first()).with_row_index("__code")
    coded = marked.join(firsts.drop("__row"), on=keys, how="left", nulls_equal=True, maintain_order="left")
    return coded["__code"].cast(pl.Int64).to_numpy(), firsts["__row"].cast(pl.Int64).to_numpy()


def paired(
    one: MetricSums, two: MetricSums, groups: NDArray[np.int64] | None, draws: int, seed: int
) -> dict[str, Array]:
    """Every metric of `two` less that of `one`, (draws,), where each resample takes the same rows of both.

    Args:
        one, two: of the same rows, by metrics of the same names.
        groups: as of `MetricSums.intervals`.
        draws, seed: of the bootstrap.
    """
    width = one.distinct.shape[1]
    both = joined(one, two)

    def differences(sums: Array) -> dict[str, Array]:
        first = one.metrics(sums[..., :width])
        return {name: values - first[name] for name, values in two.metrics(sums[..., width:]).items()}

    return replace(both, metrics=differences).resampled(groups, draws, seed)


def ratio(part: Any, whole: Any, empty: float = 0.0) -> Array:
    """part / whole in percent; `empty` where the whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    # np.divide with `where` and not a test afterwards: 0 / 0 would warn.
    return np.asarray(100 * np.divide(part, whole, out=np.full(whole.shape, empty / 100), where=whole != 0))


def detected(hits: Array, predicted: Array, actual: Array) -> dict[str, Array]:
    """Precision, recall and F1 in percent, from what was rightly said, said, and there.

    With nothing there and nothing said there is no error; saying nothing where something is earns nothing.
    """
    there = predicted + actual > 0
    return {
        "precision": np.where(there, ratio(hits, predicted), 100.0),
        "recall": np.where(there, ratio(hits, actual), 100.0),
        "f1": ratio(2 * hits, predicted + actual, empty=100.0),
    }


def mean_of(*names: str) -> Metrics:
    """Means of the first columns; the last column counts the rows."""

    def metrics(sums: Array) -> dict[str, Array]:
        return {name: ratio(sums[..., column], sums[..., -1]) for column, name in enumerate(names)}

    return metrics


def means(values: Mapping[str, Any]) -> MetricSums:
    """Means in percent, from the values of each row by name, (rows,) each, 0 to 1."""
    columns = [np.asarray(value, dtype=np.float64) for value in values.values()]
    return MetricSums.of_rows(np.column_stack([*columns, np.ones(len(columns[0]))]), mean_of(*values))
