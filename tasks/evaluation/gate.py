"""The gate: a new model beside the one in service, on the same questions, each beside its controls.

A modality holds if the 95 % interval of the paired difference to the model in service lies above minus the margin, and
that of the difference to each control of its own above what params.yaml asks. Whole chips are resampled, the same ones
for both models.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import PredictionsError
from tasks.evaluation.gate_params import Margins, PromoteParams
from tasks.evaluation.metrics import classification
from tasks.evaluation.metrics.bootstrap import means
from tasks.evaluation.metrics.compare import aligned
from tasks.evaluation.metrics.guesses import GUESSES
from tasks.evaluation.metrics.predictions import CONTROL_COLUMNS, Predictions
from tasks.vlm.controls import CONTROLS

Outcome = Literal["better", "within the margin", "above its controls", "worse", "below a control", "too few"]
HOLDS: frozenset[Outcome] = frozenset({"better", "within the margin", "above its controls"})
DIGITS = 4


@dataclass(frozen=True)
class Difference:
    """Candidate minus another, in shares of the questions, with the 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """`-0.012 (-0.060, +0.031)`."""
        return f"{self.value:+.3f} ({self.low:+.3f}, {self.high:+.3f})"


@dataclass(frozen=True)
class ModalityVerdict:
    """What the questions of one modality say. Scores are shares of right answers, 0 to 1."""

    modality: str
    questions: int
    chips: int
    outcome: Outcome
    reason: str
    candidate: float | None = None
    controls: Mapping[str, float] = field(default_factory=dict)
    over_controls: Mapping[str, Difference] = field(default_factory=dict)
    in_service: float | None = None
    in_service_controls: Mapping[str, float] = field(default_factory=dict)
    over_in_service: Difference | None = None
    margin: float | None = None
    above_controls: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate may take the place of the model in service, and why."""

    passed: bool
    modalities: tuple[ModalityVerdict, ...]
    questions: int
    left_out: int
    """Questions about places that the model in service was trained on: they are no test of it."""
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, the same for the same files."""
        values: dict[str, Any] = asdict(self)
        return values

    def rows(self) -> list[dict[str, str]]:
        """Every modality's score and its controls, a row each, as tables show them."""
        return [row for found in self.modalities for row in _rows(found)]


def judge(
    candidate: Predictions, in_service: Predictions | None, params: PromoteParams, seen: Iterable[str] = ()
) -> Verdict:
    """Compare two models on the questions that both were asked.

    Args:
        candidate: the new model's answers, with those of its controls.
        in_service: those of the model in service; None if there is none yet.
        params: margins.
        seen: ids of questions that the model in service has an unfair advantage in; they are left out.

    Raises:
        PredictionsError: a column is missing, or the files do not hold the same questions.
        ParamsError: a modality has no margins.
    """
    columns = _controls(candidate)
    if not columns:
        raise PredictionsError(
            f"{candidate.path} has no answers of a control, so that its scores mean nothing; evaluate the model with "
            f"controls (evaluate.controls: {', '.join(CONTROLS)})"
        )
    for needed in ("modality", "id"):
        if needed not in candidate.frame.columns or candidate.frame[needed].null_count():
            raise PredictionsError(f"{candidate.path} does not say the {needed} of every question")
    groups = candidate.groups()
    if groups is None:
        raise PredictionsError(f"{candidate.path} does not say which chip every question is about (image_id)")
    marks = {"candidate": _marks(candidate, "answer"), **{name: _marks(candidate, at) for name, at in columns.items()}}
    theirs: dict[str, NDArray[np.bool_]] = {}
    if in_service is not None:
        other = aligned(candidate, in_service)
        marks["in service"] = _marks(other, "answer")
        theirs = {name: _marks(other, at) for name, at in _controls(other).items()}
    left_out = candidate.frame["id"].is_in(list(seen)).to_numpy()
    found = []
    for name, where in candidate.rows_of("modality").items():
        if name not in params.modalities:
            raise PredictionsError(
                f"{candidate.path} asks about modality '{name}', for which params.yaml has no margins: add "
                f"promote.modalities.{name}"
            )
        rows = where[~left_out[where]]
        found.append(_modality(name, rows, groups, marks, theirs, params))
    missing = [name for name in params.modalities if name not in {one.modality for one in found}]
    found += [ModalityVerdict(name, 0, 0, "too few", "the gate set has no question of it") for name in missing]
    decided = [one for one in found if one.outcome != "too few"]
    passed = bool(decided) and all(one.outcome in HOLDS for one in decided)
    reasons = tuple(_reasons(found, decided, in_service, left_out))
    return Verdict(passed, tuple(found), len(candidate), int(left_out.sum()), reasons)


def _modality(
    name: str,
    rows: NDArray[np.int64],
    groups: NDArray[np.int64],
    marks: Mapping[str, NDArray[np.bool_]],
    theirs: Mapping[str, NDArray[np.bool_]],
    params: PromoteParams,
) -> ModalityVerdict:
    chips = len(np.unique(groups[rows]))
    if len(rows) < params.min_questions or chips < params.min_chips:
        least = f"promote.min_questions is {params.min_questions}, promote.min_chips {params.min_chips}"
        return ModalityVerdict(name, len(rows), chips, "too few", f"decide nothing: {least}")
    scores = {key: round(float(right[rows].mean()), DIGITS) for key, right in marks.items()}
    resampled = means(marks).rows(rows).resampled(groups, params.bootstrap, params.seed)
    over = {
        key: _difference(marks["candidate"][rows], marks[key][rows], (resampled["candidate"] - resampled[key]) / 100)
        for key in marks
        if key != "candidate"
    }
    in_service = over.pop("in service", None)
    margins = params.modalities[name]
    outcome, reason = _outcome(over, in_service, margins)
    return ModalityVerdict(
        name,
        len(rows),
        chips,
        outcome,
        reason,
        candidate=scores["candidate"],
        controls={key: scores[key] for key in over},
        over_controls=over,
        in_service=scores.get("in service"),
        in_service_controls={key: round(float(right[rows].mean()), DIGITS) for key, right in theirs.items()},
        over_in_service=in_service,
        margin=margins.margin,
        above_controls=margins.above_controls,
    )


def _difference(one: NDArray[np.bool_], other: NDArray[np.bool_], resampled: NDArray[np.float64]) -> Difference:
    value = float(one.mean()) - float(other.mean())
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Difference(round(value, DIGITS), round(float(low), DIGITS), round(float(high), DIGITS))


def _outcome(over: Mapping[str, Difference], in_service: Difference | None, margins: Margins) -> tuple[Outcome, str]:
    closest = min(over, key=lambda name: (over[name].low, name))
    if over[closest].low <= margins.above_controls:
        return "below a control", (
            f"over {_name(closest)} {over[closest]}, which must lie above {margins.above_controls:+.3f}"
        )
    if in_service is None:
        return "above its controls", f"over {_name(closest)}, the closest control, {over[closest]}"
    if in_service.low <= -margins.margin:
        return "worse", f"over the model in service {in_service}, which must lie above {-margins.margin:+.3f}"
    better = in_service.low > 0
    return "better" if better else "within the margin", f"over the model in service {in_service}"


def _reasons(
    found: list[ModalityVerdict],
    decided: list[ModalityVerdict],
    in_service: Predictions | None,
    left_out: NDArray[np.bool_],
) -> Iterable[str]:
    if in_service is None:
        yield "no model is in service yet: the candidate is held against its own controls alone"
    if left_out.any():
        yield (
            f"{int(left_out.sum())} of {len(left_out)} questions are about places that the model in service was "
            "trained on, and are left out"
        )
    if not decided:
        yield "no modality has enough questions to decide"
    for one in found:
        yield f"{one.modality}, {one.questions} questions about {one.chips} chips: {one.outcome}: {one.reason}"


def _controls(predictions: Predictions) -> dict[str, str]:
    """Column of the answers of each control that the file has."""
    present = {
        name: next((column for column in columns if column in predictions.frame.columns), None)
        for name, columns in CONTROL_COLUMNS.items()
    }
    return {name: column for name, column in present.items() if column is not None}


def _marks(predictions: Predictions, column: str) -> NDArray[np.bool_]:
    """Which answers of a column are right, (rows,)."""
    return classification.correct(predictions.answered(predictions.frame[column].fill_null("")))


def _rows(found: ModalityVerdict) -> Iterable[dict[str, str]]:
    asked = {"modality": found.modality, "questions": str(found.questions), "chips": str(found.chips)}
    yield asked | {
        "score": "the model",
        "new": _share(found.candidate),
        "in service": _share(found.in_service),
        "new over it": str(found.over_in_service or ""),
        "above": "" if found.over_in_service is None or found.margin is None else f"{-found.margin:+.3f}",
        "outcome": found.outcome,
    }
    for name, score in found.controls.items():
        yield {
            **dict.fromkeys((*asked, "outcome"), ""),
            "score": _name(name),
            "new": _share(score),
            "in service": _share(found.in_service_controls.get(name)),
            "new over it": str(found.over_controls[name]),
            "above": "" if found.above_controls is None else f"{found.above_controls:+.3f}",
        }


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _name(control: str) -> str:
    return next((key for key, guess in GUESSES.items() if guess.score_name == control), control).replace("_", " ")
