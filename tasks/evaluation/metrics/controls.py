"""Controls beside every score: what needs no image, what the model says without it, and whether answers vary at all."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics import change, classification
from tasks.evaluation.metrics.answer_variety import answer_variety, shown
from tasks.evaluation.metrics.bootstrap import MetricSums
from tasks.evaluation.metrics.prediction_files import CONFIDENCES
from tasks.evaluation.metrics.predictions import CONTROL_COLUMNS, Predictions, numbers
from tasks.evaluation.metrics.text_normalisation import abstains, class_name

BINS = 10
"""Of confidence, for the calibration error (Guo et al., ICML 2017)."""
WHOLE = {"earthdial": "[[0, 0, 100, 100, 0]]", "internvl": "[[0, 0, 1000, 1000]]", "unit": "[[0, 0, 1, 1]]"}
"""The box of the whole image in each form but pixels."""


@dataclass(frozen=True)
class Controls:
    """What stands beside the scores of a file."""

    scores: dict[str, Any]
    """Metrics by control, and besides how answers vary and how often none is given."""
    sums: Mapping[str, MetricSums]
    """The statistics of each control."""


def controls(predictions: Predictions, sums_of: Callable[[Predictions], MetricSums], form: str) -> Controls:
    """Every control that the file admits.

    Args:
        predictions: the file.
        sums_of: gives the statistics of a file as a whole.
        form: how boxes are written.
    """
    sums: dict[str, MetricSums] = {}
    found: dict[str, Any] = {"answers": answer_variety(predictions)}
    if (abstained := abstention(predictions)) is not None:
        found["abstention"] = abstained
    for name, constant in constants(predictions, form).items():
        sums[name] = sums_of(predictions.answered([constant] * len(predictions)))
        found[name] = {"answer": shown(constant), **sums[name].scores()}
    column = predictions.type_column() if predictions.task == "vqa" else None
    if column is not None:
        sums["majority_by_type"] = sums_of(predictions.answered(_majority_of_each(predictions, column)))
    for name, columns in CONTROL_COLUMNS.items():
        present = next((column for column in columns if column in predictions.frame.columns), None)
        if present is not None:
            sums[name] = sums_of(predictions.answered(predictions.frame[present].fill_null("")))
    scores = {name: {**found.get(name, {}), **one.scores()} for name, one in sums.items()}
    return Controls({**found, **scores}, sums)


def constants(predictions: Predictions, form: str) -> dict[str, str]:
    """One answer to every question, from what the file itself tells: the commonest truth, or all classes at once."""
    if predictions.task in ("detection", "grounding") or _asks_for_boxes(predictions):
        return {"whole_image": WHOLE[form]} if form in WHOLE else {}
    truths = Counter(text for row in predictions.references() for text in row if text.strip())
    if not truths:
        return {}
    found = {"majority": min(truths, key=lambda text: (-truths[text], text))}
    if predictions.task in ("classification", "vqa"):
        mark = predictions.mark or classification.separator(list(truths))
        names = {class_name(part): part.strip() for text in sorted(truths) for part in text.split(mark)}
        if len(names) <= classification.MAX_CLASSES:
            found["every_class"] = f"{mark} ".join(names[name] for name in sorted(names) if name)
    return found


def _asks_for_boxes(predictions: Predictions) -> bool:
    return predictions.task == "change" and change.kind(predictions) == "boxes"


def _majority_of_each(predictions: Predictions, column: str) -> pl.Series:
    """The commonest truth of each row's type of question; ties go by the alphabet."""
    frame = predictions.frame.select(pl.col(column).alias("type"), pl.col(predictions.truth).alias("truth"))
    counts = frame.group_by("type", "truth").len().sort(["len", "truth"], descending=[True, False])
    best = counts.group_by("type", maintain_order=True).first()
    return frame.join(best, on="type", how="left", nulls_equal=True, maintain_order="left")["truth_right"].fill_null("")


def abstention(predictions: Predictions) -> dict[str, float] | None:
    """How often no answer is given, and the accuracy of the others; for tasks with exact answers."""
    if predictions.task not in ("classification", "vqa"):
        return None
    marks = {text: abstains(text) for text in predictions.frame["answer"].unique().to_list()}
    declined = predictions.frame["answer"].replace_strict(marks, return_dtype=pl.Boolean).to_numpy()
    found = {"rate": 100 * float(declined.mean())}
    if 0 < declined.sum() < len(declined):
        found["accuracy_when_answered"] = classification.exact(predictions.rows(~declined)).scores()["accuracy"]
    return found


def calibration(predictions: Predictions) -> dict[str, float]:
    """Expected calibration error over equal bins and Brier score, in percent (0 is best); empty without confidences.

    Raises:
        PredictionsError: a confidence is not a number from 0 to 1.
    """
    column = next((name for name in CONFIDENCES if name in predictions.frame.columns), None)
    if column is None or predictions.task not in ("classification", "vqa"):
        return {}
    values = [numbers(text) for text in predictions.texts(column)]
    for row, value in enumerate(values, start=1):
        if len(value) != 1 or not 0 <= value[0] <= 1:
            raise PredictionsError(
                f"{predictions.path}, row {row}: {column} is {predictions.texts(column)[row - 1]!r}; "
                "a confidence is one number from 0 to 1"
            )
    sure = np.array([value[0] for value in values])
    correct = classification.correct(predictions)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=sure - correct, minlength=BINS)
    return {
        "expected_error": 100 * float(np.abs(gaps).sum() / len(sure)),
        "brier": 100 * float(((sure - correct) ** 2).mean()),
    }
