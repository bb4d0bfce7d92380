"""A run with its scores: the honest ones, the legacy ones, and the score of each single answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.core import paths
from tasks.core.code import code
from tasks.core.errors import PredictionsError
from tasks.core.stage import atomic, fingerprint
from tasks.evaluation.datasets.registry import Figure, published
from tasks.evaluation.metrics.best_control import CONSTANTS, rivals, significance
from tasks.evaluation.metrics.bootstrap import MetricSums
from tasks.evaluation.metrics.guesses import SCORED
from tasks.evaluation.metrics.predictions import Predictions, read
from tasks.evaluation.metrics.score import ScoringSettings, metric_sums, score
from tasks.evaluation.names import HEADLINES
from tasks.pages.runs import ModelRun

LEGACY = {
    "micro_f1": ("accuracy",),
    "accuracy": ("accuracy",),
    "f1@0.5": ("precision@0.5",),
    "cider": ("rouge1", "rougeL"),
    "f1": ("accuracy",),
}
"""The metric of EarthDial's own scorer that stands beside each."""
TITLES = {
    "accuracy": "exact accuracy",
    "micro_f1": "micro-F1",
    "f1@0.5": "F1 of boxes at IoU 0.5",
    "cider": "CIDEr, 0 to 100",
    "f1": "F1 of changed pixels",
    "precision@0.5": "precision at IoU 0.5",
    "rouge1": "ROUGE-1",
    "rougeL": "ROUGE-L",
}
LEGACY_TITLES = {**TITLES, "accuracy": "token recall"}
PUBLISHED = {
    "accuracy": ("token recall", "token recall, all but count"),
    "precision@0.5": ("precision at 0.5",),
    "rouge1": ("ROUGE-1",),
    "rougeL": ("ROUGE-L",),
}
"""How the registry of benchmarks calls the metrics of EarthDial's scorer."""
RS_MOE = "RS-MoE-7B"
RS_MOE_METRICS = {"cider": ("CIDEr", 0.1), "accuracy": ("accuracy", 1.0)}
"""Headline -> how RS-MoE's paper calls it, and what its figure times is one on our scale: its CIDEr ends at 1000."""
CONTROL_TITLES = {
    **CONSTANTS,
    **{name: control.title for name, control in SCORED.items()},
}
"""What needs no image first, then what the model itself says when it cannot see."""
SCORER = "tasks.evaluation.metrics.score"
CACHE = paths.WORK / "board"


@dataclass(frozen=True)
class Scored:
    """One row of the board."""

    run: ModelRun
    predictions: Predictions
    honest: Mapping[str, Any]
    legacy: Mapping[str, Any]
    """Empty where EarthDial's scorer counts no question of the file, such as multiple choice."""
    metric: str
    """The headline: a key of `TITLES`."""
    sums: MetricSums
    """The statistics of the honest scores of the whole file."""
    row_scores: NDArray[np.float64]
    """The headline metric of each single answer, 0 to 100, (rows,); NaN for rows that are not scored."""

    @property
    def value(self) -> float:
        """The headline score."""
        return float(self.honest[self.metric])

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval."""
        low, high = self.honest["ci95"][self.metric]
        return float(low), float(high)

    @property
    def n(self) -> int:
        """Answers that are scored."""
        return int(self.honest["n"])

    @property
    def legacy_metric(self) -> str | None:
        """The metric of EarthDial's scorer that is shown."""
        return next((name for name in LEGACY[self.metric] if name in self.legacy), None)

    @property
    def after_extraction(self) -> float | None:
        """The headline score after the fixed extraction, the second figure; None where the task has none."""
        found: float | None = self.honest.get("extracted", {}).get(self.metric)
        return found

    @property
    def controls(self) -> dict[str, float]:
        """The headline metric of each control that the score is held against, in the order of `CONTROL_TITLES`."""
        scores = self.honest["controls"]
        there = [name for name in CONTROL_TITLES if self.metric in scores.get(name, {})]
        return {name: float(scores[name][self.metric]) for name in rivals(there)}

    @property
    def over_best(self) -> Mapping[str, Any] | None:
        """The control that is hardest to beat, and how far the score is above it; None where there is no control."""
        found: Mapping[str, Any] | None = self.honest["controls"].get("best")
        return found

    @property
    def legacy_n(self) -> int:
        """Answers that EarthDial's scorer takes into account: it leaves out whole types of questions."""
        return int(self.legacy["n"])

    @property
    def published(self) -> Figure | None:
        """What was published for EarthDial in the metric of its own scorer, its paper first; else for RS-MoE.

        A figure of RS-MoE is on the scale of the headline, 0 to 100.
        """
        names = PUBLISHED.get(self.legacy_metric or "", ())
        known = published(self.run.benchmark)
        figures = [f for f in known if f.model == "EarthDial" and f.metric in names]
        if figures:
            return min(figures, key=lambda figure: figure.kind != "paper")
        name, scale = RS_MOE_METRICS.get(self.metric, ("", 1.0))
        other = next((f for f in known if f.model == RS_MOE and f.metric == name), None)
        if other is None or scale == 1:
            return other
        return other.model_copy(
            update={"value": scale * other.value, "metric": f"{name}, published as {other.value:.2f}"}
        )

    @property
    def answers(self) -> Mapping[str, Any]:
        """How much the answers vary, and the alarm."""
        variety: Mapping[str, Any] = self.honest["controls"]["answers"]
        return variety

    @property
    def against_controls(self) -> str:
        """better, level or worse than the best control, by the paired difference; alone where there is no control."""
        return "alone" if self.over_best is None else significance(self.over_best)


def scored(run: ModelRun, cache: Path = CACHE) -> Scored:
    """Score one run; a file that has not changed is scored once, and its scores are kept in `cache`.

    Raises:
        PredictionsError: the file cannot be scored.
    """
    predictions = read(run.path, run.task)
    settings = ScoringSettings(form=run.form)
    honest, legacy = _scores(run, predictions, cache)
    metric = next((name for name in HEADLINES if name in honest), None)
    if metric is None:
        raise PredictionsError(f"{run.path} has none of the scores {', '.join(HEADLINES)}, only {', '.join(honest)}")
    whole = metric_sums(predictions, settings)[""]
    row_scores = np.full(len(predictions), np.nan)
    row_scores[whole.row] = np.asarray(whole.metrics(whole.distinct)[metric])[whole.index]
    return Scored(run, predictions, honest, legacy, metric, whole, row_scores)


def _scores(run: ModelRun, predictions: Predictions, cache: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both protocols, from an earlier time if answers, scorer and settings are the same."""
    kept = cache / f"{fingerprint(run.path, code(SCORER), run.task, run.form)}.json"
    if not kept.is_file():
        both = [score(predictions, ScoringSettings("honest", run.form)), _legacy(run, predictions)]
        with atomic(kept) as partial:
            partial.write_text(json.dumps(both))
    honest, legacy = json.loads(kept.read_text())
    return honest, legacy


def _legacy(run: ModelRun, predictions: Predictions) -> dict[str, Any]:
    try:
        return score(predictions, ScoringSettings("legacy", run.form))
    except PredictionsError:  # the honest protocol has scored the file: it is only not of the legacy one's types
        return {}
