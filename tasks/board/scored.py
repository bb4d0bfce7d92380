"""A run with its scores: the honest ones, the legacy ones, and how each single answer fared."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tasks.scoring
from tasks.benchmarks.registry import Figure, published
from tasks.board.runs import Run
from tasks.core import paths
from tasks.core.stage import atomic, fingerprint
from tasks.scoring.errors import PredictionsError
from tasks.scoring.read import Predictions, read
from tasks.scoring.score import Settings, score, tally

HEADLINES = ("micro_f1", "accuracy", "f1@0.5", "cider", "f1")
"""The honest metric that a row of the board shows: the first of these that the task has. Lists of classes are judged by
micro-F1, since whole sets are seldom right; boxes by F1, which a model cannot raise by drawing more of them."""
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
CONTROLS = {
    "majority": "always the commonest answer",
    "majority_by_type": "the commonest answer of each type of question",
    "training_majority": "the commonest training answer to the same question",
    "every_class": "every class at once",
    "whole_image": "the whole image as the box",
    "no_image": "the same model without the image",
    "other_image": "the same model with another image",
    "shuffled_bands": "the same model with its bands shuffled",
    "greyed": "the same model with its bands greyed",
}
"""What needs no image first, then what the model itself says when it cannot see."""
CACHE = paths.WORK / "board"


@dataclass(frozen=True)
class Scored:
    """One row of the board."""

    run: Run
    predictions: Predictions
    honest: Mapping[str, Any]
    legacy: Mapping[str, Any]
    """Empty where EarthDial's scorer counts no question of the file, such as multiple choice."""
    metric: str
    """The headline: a key of `TITLES`."""
    fared: NDArray[np.float64]
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
    def controls(self) -> dict[str, float]:
        """The headline metric of each control that the file admits, in the order of `CONTROLS`."""
        told = self.honest["controls"]
        return {name: float(told[name][self.metric]) for name in CONTROLS if self.metric in told.get(name, {})}

    @property
    def legacy_n(self) -> int:
        """Answers that EarthDial's scorer takes into account: it leaves out whole types of questions."""
        return int(self.legacy["n"])

    @property
    def published(self) -> Figure | None:
        """What was published for EarthDial in the metric of its own scorer, its paper first."""
        names = PUBLISHED.get(self.legacy_metric or "", ())
        figures = [f for f in published(self.run.benchmark) if f.model == "EarthDial" and f.metric in names]
        return min(figures, key=lambda figure: figure.kind != "paper", default=None)

    @property
    def answers(self) -> Mapping[str, Any]:
        """How much the answers vary, and the alarm."""
        spread: Mapping[str, Any] = self.honest["controls"]["answers"]
        return spread

    @property
    def standing(self) -> str:
        """better, level or worse than the best control, by the 95 % interval; alone where there is no control."""
        if not self.controls:
            return "alone"
        bar, (low, high) = max(self.controls.values()), self.interval
        return "better" if low > bar else "worse" if high < bar else "level"


def scored(run: Run, cache: Path = CACHE) -> Scored:
    """Score one run; a file that has not changed is scored once, and its scores are kept in `cache`.

    Raises:
        PredictionsError: the file cannot be scored.
    """
    predictions = read(run.path, run.task)
    settings = Settings(form=run.form)
    honest, legacy = _scores(run, predictions, cache)
    metric = next((name for name in HEADLINES if name in honest), None)
    if metric is None:
        raise PredictionsError(f"{run.path} has none of the scores {', '.join(HEADLINES)}, only {', '.join(honest)}")
    whole = tally(predictions, settings)[""]
    fared = np.full(len(predictions), np.nan)
    fared[whole.row] = np.asarray(whole.metrics(whole.distinct)[metric])[whole.index]
    return Scored(run, predictions, honest, legacy, metric, fared)


def _scores(run: Run, predictions: Predictions, cache: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both protocols, from an earlier time if answers, scorer and settings are the same."""
    code = Path(tasks.scoring.__file__).parent
    kept = cache / f"{fingerprint(run.path, code, run.task, run.form)}.json"
    if not kept.is_file():
        both = [score(predictions, Settings("honest", run.form)), _legacy(run, predictions)]
        with atomic(kept) as partial:
            partial.write_text(json.dumps(both))
    honest, legacy = json.loads(kept.read_text())
    return honest, legacy


def _legacy(run: Run, predictions: Predictions) -> dict[str, Any]:
    try:
        return score(predictions, Settings("legacy", run.form))
    except PredictionsError:  # the honest protocol has scored the file: it is only not of the legacy one's types
        return {}
