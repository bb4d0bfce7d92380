"""Two models on the same questions: what changed, by how much, whether it is chance, and the answers that flipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tasks.core.errors import BenchmarkError
from tasks.evaluation.metrics.compare import aligned, compare
from tasks.evaluation.metrics.score import ScoringSettings
from tasks.pages.examples import Example, dealt, examples
from tasks.pages.scored_runs import TITLES, Scored

SURE = 0.05
"""p under which a difference is called one."""


@dataclass(frozen=True)
class ModelComparison:
    """One benchmark that both models answered."""

    title: str
    first: Scored
    second: Scored
    metrics: Mapping[str, Mapping[str, Any]]
    """Of each metric: first, second, difference, ci95, p."""
    mcnemar: Mapping[str, Any] | None
    gained: list[Example]
    """The second is better; answers are its own, `other` the first's."""
    lost: list[Example]
    gains: int
    losses: int
    """How many answers are better and worse in all."""

    @property
    def headline(self) -> Mapping[str, Any]:
        """The metric of the board."""
        return self.metrics[self.first.metric]

    @property
    def mood(self) -> str:
        """better, worse or level: of the second, by the paired test."""
        metric = self.headline
        if metric["p"] >= SURE:
            return "level"
        return "better" if metric["difference"] > 0 else "worse"

    @property
    def metric(self) -> str:
        """The headline metric's name."""
        return TITLES[self.first.metric]


def compare_models(rows: Sequence[Scored], first: str, second: str, count: int) -> list[ModelComparison]:
    """Every benchmark that both models answered.

    Args:
        rows: of the board.
        first: model to compare with, the baseline.
        second: model that is compared with it.
        count: gains and losses shown of each benchmark.

    Raises:
        BenchmarkError: a model has no run, or the two have no benchmark in common.
        PredictionsError: two runs do not hold the same questions.
    """
    models = list(dict.fromkeys(row.run.model for row in rows))
    for name in (first, second):
        if name not in models:
            raise BenchmarkError(f"there is no run of a model '{name}'; there are {', '.join(models)}")
    of = {(row.run.model, row.run.benchmark): row for row in rows}
    shared = [row.run.benchmark for row in rows if row.run.model == first and (second, row.run.benchmark) in of]
    if not shared:
        raise BenchmarkError(f"{first} and {second} have no benchmark in common")
    return [_compared(of[first, name], of[second, name], count) for name in shared]


def _compared(first: Scored, second: Scored, count: int) -> ModelComparison:
    metrics = compare(first.predictions, second.predictions, ScoringSettings(form=first.run.form))
    mcnemar = metrics.pop("mcnemar", None)
    metrics.pop("n")
    other = _in_order(first, second)
    change = np.nan_to_num(other.row_scores - first.row_scores)
    flipped = np.flatnonzero(change)
    ordered = dealt(other, flipped, -np.abs(change[flipped]))
    up, down = [row for row in ordered if change[row] > 0], [row for row in ordered if change[row] < 0]
    return ModelComparison(
        title=first.run.title,
        first=first,
        second=second,
        metrics=metrics,
        mcnemar=mcnemar,
        gained=examples(other, up[:count], first),
        lost=examples(other, down[:count], first),
        gains=len(up),
        losses=len(down),
    )


def _in_order(first: Scored, second: Scored) -> Scored:
    """The second run in the order of the first, so that row by row they are about the same question."""
    marked = replace(
        second.predictions,
        frame=second.predictions.frame.with_row_index("row of the second"),
    )
    ordered = aligned(first.predictions, marked)
    rows = ordered.frame["row of the second"].to_numpy()
    return replace(
        second, predictions=second.predictions.rows(rows.astype(np.int64)), row_scores=second.row_scores[rows]
    )
