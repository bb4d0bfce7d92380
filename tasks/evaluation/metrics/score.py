"""From a file of predictions to one nested table: names of metrics to numbers from 0 to 100."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics import captioning, change, detection, extracted, honest, legacy, spice
from tasks.evaluation.metrics.best_control import over_best, rivals
from tasks.evaluation.metrics.bootstrap import MetricSums, means
from tasks.evaluation.metrics.controls import calibration, controls
from tasks.evaluation.metrics.predictions import Predictions, read
from tasks.evaluation.names import HEADLINES, BoxForm, Protocol, Task

DIGITS = 4
Scores = dict[str, Any]


@dataclass(frozen=True)
class ScoringSettings:
    """How a file is scored."""

    protocol: Protocol = "honest"
    form: BoxForm = "earthdial"
    """How boxes are written; the names are those of `tasks.dialogue.boxes.FORMS`."""
    draws: int = 1000
    """Resamplings behind each interval."""
    seed: int = 0
    spice: Path | None = None
    """Folder of SPICE's program; captions are not scored by it without one."""


def score_file(path: Path, task: Task, settings: ScoringSettings) -> Scores:
    """Everything that is said about one file.

    Raises:
        PredictionsError: the file cannot be scored; docs/reference/metrics.md has the rules.
    """
    return score(read(path, task), settings)


def score(predictions: Predictions, settings: ScoringSettings) -> Scores:
    """The same for predictions already read: `n`, metrics, groups, `ci95`, `controls`, `input`."""
    if settings.protocol == "honest" and (column := _box_column(predictions)) is not None:
        detection.refuse_unreadable(predictions, column, settings.form)
    sums_of_group = metric_sums(predictions, settings)
    groups = predictions.groups() if settings.protocol == "honest" else None
    scores: Scores = {"n": len(sums_of_group[""])}
    for name, sums in sums_of_group.items():
        group_scores = scores
        for step in name.split("/", 1) if name else []:
            group_scores = group_scores.setdefault(step, {})
        group_scores |= {"n": len(sums), **sums.scores()}
        if settings.protocol == "honest" and settings.draws:
            group_scores["ci95"] = sums.intervals(groups, settings.draws, settings.seed)
    if groups is not None:
        scores["images"] = len(np.unique(groups))
    if settings.protocol == "legacy" and predictions.task == "vqa":
        scores["excluded"] = _excluded(predictions)
    if settings.protocol == "honest" and predictions.task in extracted.TASKS:
        scores["extracted"] = _extracted(predictions, settings, groups)
    if settings.protocol == "honest":
        scores |= honest.file_level_scores(predictions, settings.form)
        if "cider_d" in scores.get("as_published", {}):
            scores["as_published"] |= _spice(predictions, settings, groups)
        if calibrated := calibration(predictions):
            scores["calibration"] = calibrated
    beside = controls(predictions, lambda other: metric_sums(other, settings)[""], settings.form)
    scores["controls"] = beside.scores
    headline = next((name for name in HEADLINES if name in scores), None)
    if settings.protocol == "honest" and settings.draws and headline is not None:
        against = {name: beside.sums[name] for name in rivals(beside.sums)}
        found = over_best(sums_of_group[""], against, headline, groups, settings.draws, settings.seed)
        if found is not None:
            scores["controls"]["best"] = found.as_json()
    scores["input"] = {**predictions.counts, **_boxes(predictions, settings)}
    if predictions.task in ("captioning", "region_captioning", "change"):
        scores["input"]["references_without_words"] = captioning.empty_references(predictions.references())
    done: Scores = rounded(scores)
    return done


def metric_sums(predictions: Predictions, settings: ScoringSettings) -> dict[str, MetricSums]:
    """The additive statistics that a protocol scores by, by group of questions."""
    if settings.protocol == "legacy":
        return legacy.SCORERS[predictions.task](predictions)
    return honest.SCORERS[predictions.task](predictions, settings.form)


def _extracted(predictions: Predictions, settings: ScoringSettings, groups: NDArray[np.int64] | None) -> Scores:
    """The second figure: the metrics of the whole file after extraction."""
    found = extracted.extracted(predictions)
    sums = metric_sums(found.predictions, settings)[""]
    intervals = {"ci95": sums.intervals(groups, settings.draws, settings.seed)} if settings.draws else {}
    return {"rule": extracted.RULE, "nothing_found": found.none, **sums.scores(), **intervals}


def _spice(predictions: Predictions, settings: ScoringSettings, groups: NDArray[np.int64] | None) -> Scores:
    """SPICE with its interval, or why there is none."""
    if settings.spice is None:
        return {"spice_not_measured": spice.ABSENT}
    result = spice.spice(
        settings.spice, predictions.texts("answer"), [*map(captioning.usable, predictions.references())]
    )
    if result.rows is None:
        return {"spice": 100 * result.mean, "spice_without_interval": spice.NEW}
    sums = means({"spice": result.rows})
    intervals = {"ci95": sums.intervals(groups, settings.draws, settings.seed)} if settings.draws else {}
    return {**sums.scores(), **intervals}


def _excluded(predictions: Predictions) -> dict[str, int]:
    """Questions of types that the legacy protocol leaves out."""
    counts = predictions.frame[predictions.type_column() or ""].fill_null("untyped").value_counts(sort=True).iter_rows()
    return {name: count for name, count in counts if name not in legacy.VQA_TYPES}


def _box_column(predictions: Predictions) -> str | None:
    """Where the true boxes stand; None where the file does not ask for boxes."""
    if predictions.task == "grounding":
        return detection.boxes_of(predictions)
    asked = predictions.task == "detection" or (predictions.task == "change" and change.kind(predictions) == "boxes")
    return predictions.truth if asked else None


def _boxes(predictions: Predictions, settings: ScoringSettings) -> dict[str, Any]:
    truth = _box_column(predictions)
    if truth is None:
        return {}
    answers = detection.oddities(predictions, "answer", settings.form, "predicted")
    return {**answers, **detection.oddities(predictions, truth, predictions.truth_form or settings.form, "true")}


def rounded(value: Any) -> Any:
    """Numbers of a nested table to `DIGITS` digits."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, DIGITS) if isinstance(value, float) else value
