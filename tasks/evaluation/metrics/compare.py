"""Two models on the same questions: paired bootstrap of every metric, McNemar's test of right and wrong answers."""

from typing import Any

import numpy as np
import polars as pl
from scipy.stats import binomtest

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics import classification
from tasks.evaluation.metrics.bootstrap import Array, paired
from tasks.evaluation.metrics.predictions import Predictions
from tasks.evaluation.metrics.score import ScoringSettings, metric_sums, rounded


def compare(first: Predictions, second: Predictions, settings: ScoringSettings) -> dict[str, Any]:
    """`second` minus `first` for every metric of the file as a whole, with its interval and p.

    Raises:
        PredictionsError: the files do not hold the same questions with the same truths.
    """
    other = first.answered(aligned(first, second).frame["answer"])
    one, two = metric_sums(first, settings)[""], metric_sums(other, settings)[""]
    before, after = one.scores(), two.scores()
    comparison: dict[str, Any] = {"n": len(one)}
    for name in before:
        comparison[name] = {"first": before[name], "second": after[name], "difference": after[name] - before[name]}
    if settings.draws:
        resampled = paired(one, two, first.groups(), settings.draws, settings.seed)
        for name in before:
            comparison[name] |= _interval_and_p(resampled[name])
    if first.task in ("classification", "vqa"):
        comparison["mcnemar"] = mcnemar(first, other)
    return dict(rounded(comparison))


def _interval_and_p(differences: Array) -> dict[str, Any]:
    """Interval of a difference over its resamples, and how often chance would give its other sign, both sides."""
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    return {
        "ci95": [float(edge) for edge in np.quantile(differences, [0.025, 0.975])],
        "p": float(min(1.0, 2 * (tail + 1) / (len(differences) + 1))),
    }


def mcnemar(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Rows that only one of the two has right, and the exact two-sided p of a fair coin."""
    right, also = classification.correct(first), classification.correct(second)
    only_first, only_second = int((right & ~also).sum()), int((also & ~right).sum())
    odd = only_first + only_second
    p = float(binomtest(only_first, odd).pvalue) if odd else 1.0
    return {"only_first_right": only_first, "only_second_right": only_second, "p": p}


def aligned(first: Predictions, second: Predictions) -> Predictions:
    """The second file in the order of the first: by ids if both have them, else row by row.

    Raises:
        PredictionsError: the files differ in length, in ids, in a question or in a truth.
    """
    if len(first) != len(second):
        raise PredictionsError(
            f"{first.path} has {len(first)} rows, {second.path} {len(second)}: a paired test needs the same questions"
        )
    mine, theirs = first.keys(), second.keys()
    if (mine is None) != (theirs is None):
        raise PredictionsError(f"of {first.path} and {second.path} only one has ids; a paired test needs both or none")
    if mine is not None and theirs is not None:
        lost = sorted(set(mine) - set(theirs))
        if lost:
            raise PredictionsError(f"{second.path} lacks {len(lost)} ids of {first.path}, first '{lost[0]}'")
        places = pl.DataFrame({"key": theirs}).with_row_index("place")
        rows = pl.DataFrame({"key": mine}).join(places, on="key", how="left", maintain_order="left")["place"]
        second = second.rows(rows.cast(pl.Int64).to_numpy())
    for column in dict.fromkeys(("question", first.truth)):
        if column in first.frame.columns and column in second.frame.columns:
            differ = (first.frame[column].fill_null("") != second.frame[column].fill_null("")).arg_true()
            if len(differ):
                raise PredictionsError(
                    f"row {differ[0] + 1}: '{column}' of {first.path} is not that of {second.path} "
                    f"({len(differ)} rows differ): a paired test needs the same questions"
                )
    return second
