"""Every model beside the best on the same benchmark: by the difference on the same questions, with its interval.

Two models answer the same questions, most of which both have right or both wrong, so two intervals that overlap say
little. The difference itself is resampled, the same images for both, as a score is held against its best control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.bootstrap import paired
from tasks.evaluation.metrics.compare import aligned, mcnemar
from tasks.evaluation.metrics.score import ScoringSettings
from tasks.pages.scored_runs import Scored

EXACT = ("classification", "vqa")
"""Tasks whose answers are right or wrong, for McNemar's test."""
Key = tuple[str, str]
"""Model and benchmark."""


@dataclass(frozen=True)
class BesideBest:
    """One model less the best one of its benchmark."""

    best: str
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    """Edges of the 95 % interval of the difference."""
    p: float | None = None
    """Of McNemar's exact test; None where answers are not right or wrong."""
    apart: str = ""
    """Why the two cannot be paired; empty if they are."""

    @property
    def sure(self) -> bool:
        """Whether the whole interval lies below 0."""
        return not self.apart and self.high < 0


def beside_best(rows: Sequence[Scored]) -> Mapping[Key, BesideBest]:
    """Each row that is not the best of several models on its benchmark, beside the best; of equals the first is."""
    found: dict[Key, BesideBest] = {}
    for benchmark in dict.fromkeys(row.run.benchmark for row in rows):
        models = [row for row in rows if row.run.benchmark == benchmark]
        best = max(models, key=lambda row: row.value)
        found |= {(row.run.model, benchmark): _beside(best, row) for row in models if row is not best}
    return found


def _beside(best: Scored, row: Scored) -> BesideBest:
    if best.metric != row.metric:
        return BesideBest(best.run.model, apart="other metric")
    own = row.predictions
    if best.run.form != row.run.form and row.predictions.truth in own.frame.columns:
        own = replace(own, frame=own.frame.drop(own.truth))  # the same boxes, written otherwise
    marked = replace(own, frame=own.frame.with_row_index("row of its own"))
    try:
        order = aligned(best.predictions, marked).frame["row of its own"].to_numpy().astype(np.int64)
    except PredictionsError:
        return BesideBest(best.run.model, apart="other questions")
    settings = ScoringSettings()
    sums = replace(row.sums, index=row.sums.index[order])
    drawn = paired(best.sums, sums, best.predictions.groups(), settings.draws, settings.seed)[row.metric]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    p = None
    if row.run.task in EXACT:
        p = float(mcnemar(best.predictions, row.predictions.rows(order))["p"])
    return BesideBest(best.run.model, row.value - best.value, float(low), float(high), p)
