"""A score against the best of its controls: by the paired difference, for both answered the same questions.

Two intervals that overlap say little of two answers to the same questions, most of which both have right or both wrong.
So the difference itself has an interval: whole images are resampled, the same ones for both. This is the one rule by
which report, board, headline and summary say better, level or worse.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics.bootstrap import MetricSums, paired
from tasks.evaluation.metrics.guesses import GUESSES

Significance = Literal["better", "level", "worse"]
CONSTANTS: Mapping[str, str] = {
    "majority": "always the commonest answer",
    "majority_by_type": "the commonest answer of each type of question",
    "every_class": "every class at once",
    "whole_image": "the whole image as the box",
}
"""Answers made from the truths of a file itself, by the name of their score, as pages name them."""


@dataclass(frozen=True)
class OverBest:
    """How far a score is above the best of its controls, in percent."""

    control: str
    """Its name among those that were given."""
    score: float
    """What it reaches."""
    difference: float
    low: float
    high: float
    """Edges of the 95 % interval of the difference."""

    def as_json(self, scale: float = 1.0, digits: int = 4) -> dict[str, Any]:
        """`{"control", "score", "difference", "ci95"}`, all but the name divided by `scale`."""
        score, difference, *edges = (
            round(value / scale, digits) for value in (self.score, self.difference, self.low, self.high)
        )
        return {"control": self.control, "score": score, "difference": difference, "ci95": edges}


def over_best(
    own: MetricSums,
    controls: Mapping[str, MetricSums],
    metric: str,
    groups: NDArray[np.int64] | None,
    draws: int,
    seed: int,
) -> OverBest | None:
    """A score against the control that reaches most; of several that reach as much, the first. None without controls.

    Args:
        own: the model's answers.
        controls: answers to the same rows.
        metric: which of the metrics is compared.
        groups: a number for every row of the file, whose rows are drawn together; None draws single rows.
        draws, seed: of the bootstrap.
    """
    if not controls:
        return None
    reached = {name: sums.scores()[metric] for name, sums in controls.items()}
    best = max(reached, key=lambda name: reached[name])
    difference = own.scores()[metric] - reached[best]
    if len(own if groups is None else np.unique(groups[own.row])) < 2:
        return OverBest(best, reached[best], difference, -100.0, 100.0)
    resampled = paired(controls[best], own, groups, draws, seed)[metric]
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return OverBest(best, reached[best], difference, float(low), float(high))


def rivals(names: Iterable[str]) -> list[str]:
    """Which of a file's controls a score is held against.

    Where the file has answers of the training side, what was made from its own truths is none: it was made knowing the
    answers, and to the best guess of a whole type of question there is nothing to learn from.
    """
    found = list(names)
    learnt = {guess.score_name for guess in GUESSES.values()} & set(found)
    return [name for name in found if not (learnt and name in CONSTANTS)]


def significance(over: Mapping[str, Any]) -> Significance:
    """Better, level or worse than the best control, by what `OverBest.as_json` wrote."""
    low, high = over["ci95"]
    return "better" if low > 0 else "worse" if high < 0 else "level"
