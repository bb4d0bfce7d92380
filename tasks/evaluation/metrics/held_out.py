"""Marks and scores of held-out answers, by the very functions that `earthloom score` uses."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.stage import atomic
from tasks.evaluation.metrics import classification
from tasks.evaluation.metrics.answer_variety import answer_variety
from tasks.evaluation.metrics.best_control import over_best
from tasks.evaluation.metrics.guesses import BESIDE, GUESSES
from tasks.evaluation.metrics.predictions import Predictions
from tasks.vlm.controls import CONTROLS, ControlName

GROUPS = {"by_type": "question_type", "by_modality": "modality", "by_sensor": "sensor", "by_scene": "scene"}
"""Name of each kind of group in scores.json, and the column that names it."""
OWN = "accuracy"
PROBE = "probe"
"""Name of what the pixel probe reaches: a ceiling, no control."""
DIGITS = 4
Row = dict[str, Any]


class MarkedAnswers:
    """Answers to held-out questions, marked: the model's own, those of its controls, and those of whoever guesses."""

    def __init__(
        self,
        rows: Sequence[Row],
        guesses: Mapping[str, Mapping[str, Any]],
        controls: Sequence[ControlName],
        bootstrap: int,
        seed: int,
    ) -> None:
        """Mark every answer.

        Args:
            rows: of `tasks.evaluation.runner.predictions.rows_of`.
            guesses: by id of a question the answers of `GUESSES`, of the probe, and the scene that it is about, as
                stage `guesses` leaves them.
            controls: that the questions were asked again with.
            bootstrap: resamplings of the test chips behind each confidence interval.
            seed: of the resampling.
        """
        # One's own pairs have no chips, no scenes and no probe: what is not known of them is no column.
        held = set().union(*(guesses[row["id"]] for row in rows))
        known = [guess for guess in GUESSES.values() if guess.column in held]
        columns = [
            *(guess.column for guess in known),
            *(name for name in ("scene", "asked_in_training") if name in held),
        ]
        self._rows = [{**row, **{name: guesses[row["id"]][name] for name in columns}} for row in rows]
        texts = [{name: value for name, value in row.items() if not isinstance(value, list)} for row in self._rows]
        frame = pl.DataFrame(texts, infer_schema_length=None)
        self.bootstrap, self.seed = bootstrap, seed
        self.predictions = Predictions(Path("predictions.parquet"), "vqa", frame, "annotation")
        asked = {guess.key for guess in known} | {CONTROLS[name].key for name in controls}
        self.columns = {OWN: ("answer", "correct")} | {
            key: (one.column, one.mark_column) for key, one in BESIDE.items() if key in asked
        }
        """Name of each score, and the columns of its answers and of their marks."""
        self._answered = {name: self._with(frame[answer]) for name, (answer, _) in self.columns.items()}
        self._sums = {name: classification.exact(answered) for name, answered in self._answered.items()}
        self._has_probe = "probe_answer" in held
        said = [guesses[row["id"]].get("probe_answer") for row in rows]
        self._probed = np.array([text is not None for text in said], dtype=bool)
        self._probe = classification.exact(self._with(pl.Series(said, dtype=pl.String)))

    def _with(self, answers: pl.Series) -> Predictions:
        """The same questions, answered by others."""
        return self.predictions.answered(answers.fill_null(""))

    def rows(self) -> list[Row]:
        """The rows with what was guessed, and for each column of answers whether they are right."""
        marks = {
            mark: classification.correct(self._answered[name]).tolist() for name, (_, mark) in self.columns.items()
        }
        return [
            {**row, **{name: marked[place] for name, marked in marks.items()}} for place, row in enumerate(self._rows)
        ]

    def not_asked(self) -> dict[str, int]:
        """Questions that a control could not be asked of, by control; they count as wrong answers of it."""
        return {name: self.predictions.frame[answer].null_count() for name, (answer, _) in self.columns.items()}

    def scores(self) -> dict[str, Any]:
        """Scores of all questions together, and by question type, modality, sensor and kind of scene."""
        scores: dict[str, Any] = {"overall": self.score(np.arange(len(self.predictions)))}
        for name, column in GROUPS.items():
            if column not in self.predictions.frame:
                continue
            scores[name] = {key: self.score(at) for key, at in self.predictions.rows_of(column).items()}
        if self._has_probe:
            scores[PROBE] = self._beside_the_probe(np.arange(len(self.predictions)))
        return scores

    def score(self, where: NDArray[np.int64]) -> dict[str, Any]:
        """What some of the questions say: accuracy beside its controls, 0 to 1, its interval over chips, how far it is
        above the best of them, and the alarm of a constant answer.
        """
        part = self.predictions.rows(where)
        # Of one that only questions about several images have, what it was not asked of says nothing.
        most = {one.key: 0 for one in CONTROLS.values() if one.of_several}
        nulls = {name: part.frame[answer].null_count() for name, (answer, _) in self.columns.items()}
        asked = [name for name, count in nulls.items() if count <= most.get(name, len(part) - 1)]
        sums = {name: self._sums[name].rows(where) for name in asked}
        groups = self.predictions.groups()
        low, high = sums[OWN].intervals(groups, self.bootstrap, self.seed)["accuracy"]
        beside = {name: one for name, one in sums.items() if name != OWN}
        over = over_best(sums[OWN], beside, "accuracy", groups, self.bootstrap, self.seed)
        return {
            "n": len(part),
            "chips": part.frame["image_id"].n_unique(),
            **{name: _share(one.scores()["accuracy"]) for name, one in sums.items()},
            "ci95": [_share(low), _share(high)],
            **({"over_best": over.as_json(100)} if over else {}),
            "constant_answer": answer_variety(part)["constant_answer_alarm"],
        }

    def over(self, where: NDArray[np.int64], control: str) -> dict[str, Any]:
        """How far some of the answers are above one control, as `OverBest.as_json` has it."""
        own, other = self._sums[OWN].rows(where), {control: self._sums[control].rows(where)}
        found = over_best(own, other, "accuracy", self.predictions.groups(), self.bootstrap, self.seed)
        assert found is not None  # there is that one
        return found.as_json(100)

    def _beside_the_probe(self, where: NDArray[np.int64]) -> dict[str, Any]:
        """On the questions that the probe answers, what it reaches and what the model and its best control do there.

        Returns:
            `{"n", "of", "overall", "by_modality", "by_type", "not_answered"}`; `not_answered` has the types it answers
            nothing of.
        """
        covered = where[self._probed[where]]
        out: dict[str, Any] = {"n": len(covered), "of": len(where)}
        by_type = self.predictions.rows_of("question_type")
        out["not_answered"] = [name for name, at in by_type.items() if not self._probed[at].any()]
        if len(covered):
            out["overall"] = self._probe_score(covered)
            for name in ("by_modality", "by_type"):
                groups = self.predictions.rows_of(GROUPS[name])
                there = {key: at[self._probed[at]] for key, at in groups.items()}
                out[name] = {key: self._probe_score(at) for key, at in there.items() if len(at)}
        return out

    def _probe_score(self, where: NDArray[np.int64]) -> dict[str, Any]:
        own = self.score(where)
        sums = self._probe.rows(where)
        low, high = sums.intervals(self.predictions.groups(), self.bootstrap, self.seed)["accuracy"]
        reached, best = _share(sums.scores()["accuracy"]), own["over_best"]["score"]
        return {
            "n": own["n"],
            PROBE: reached,
            "ci95": [_share(low), _share(high)],
            OWN: own[OWN],
            "best_control": best,
            "learnable": reached > best,
        }


def _share(percent: float) -> float:
    return round(percent / 100, DIGITS)


def above_controls(score: Mapping[str, Any]) -> bool:
    """Whether an accuracy is above every control beside it, by their values."""
    return bool(score["over_best"]["difference"] > 0)


def below_best_control(by_type: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Types of question whose accuracy is below that of their best control."""
    return sorted(name for name, score in by_type.items() if score["over_best"]["difference"] < 0)


def beside_blind(by_type: Mapping[str, Any], marks: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by question type, each with what blind solvers reach there: the stage `blind` says which ones it marks.

    Args:
        by_type: question type -> its score.
        marks: as in data/blind/marks.json.

    Returns:
        The same with `blind: {solver, score, low, high, chance, sure, marked}` beside each type that was asked.
    """
    out = {}
    for name, score in by_type.items():
        found = marks["kinds"].get(name)
        blind = {}
        if found is not None:
            best = found[found["best"]]
            figures = {name: best[name] for name in ("score", "low", "high", "chance", "sure")}
            blind = {"blind": {"solver": found["best"], **figures, "marked": found["marked"]}}
        out[name] = {**score, **blind}
    return out


def write_csv(scores: Mapping[str, Any], names: Iterable[str], path: Path) -> None:
    """Scores as a flat table, one row a group: what `dvc plots` draws."""
    names = list(names)
    groups: list[tuple[str, str, Mapping[str, Any]]] = [("overall", "overall", scores["overall"])]
    for group in GROUPS:
        groups += [(group.removeprefix("by_"), name, score) for name, score in scores[group].items()]
    with atomic(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["group", "name", "n", *names, "low", "high", "best_control", "over_best", "over_low", "over_high"]
        )
        for group, title, score in groups:
            values = (score.get(name, "") for name in names)
            over = score["over_best"]
            best = (over["control"], over["difference"], *over["ci95"])
            writer.writerow([group, title, score["n"], *values, *score["ci95"], *best])
