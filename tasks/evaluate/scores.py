"""Marks and scores of the answers, by the functions of `tasks.scoring`: one rule here and in `earthloom score`."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.stage import atomic
from tasks.evaluate.answers import COLUMNS, Row
from tasks.evaluate.params import EvaluateParams
from tasks.scoring import labels
from tasks.scoring.read import Predictions
from tasks.scoring.spread import spread
from tasks.scoring.tally import Tally
from tasks.scoring.texts import plain

GROUPS = {"by_type": "question_type", "by_modality": "modality", "by_sensor": "sensor"}
"""Name of each kind of group in scores.json, and the column that tells it."""
DIGITS = 4


class Majority:
    """Most frequent training answer to the same question, or else to questions of its type. Ties go by the
    alphabet.
    """

    def __init__(self, answers: Iterable[tuple[str, str, str]]) -> None:
        """From (question type, question, answer) of the training side."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for question_type, question, answer in answers:
            counts[question_type, question][plain(answer)] += 1
            counts[question_type, ""][plain(answer)] += 1
        self._best = {key: min(told, key=lambda answer: (-told[answer], answer)) for key, told in counts.items()}

    def answer(self, question_type: str, question: str) -> str:
        """The answer; empty if the training side knows nothing of the type."""
        return self._best.get((question_type, question)) or self._best.get((question_type, ""), "")


class Marked:
    """Answers to held-out questions, marked: the model's own, those of its controls, and the majority's."""

    def __init__(self, rows: Sequence[Row], majority: Majority, params: EvaluateParams) -> None:
        """From the rows of `tasks.evaluate.answers.predict`."""
        guesses = [majority.answer(row["question_type"], row["question"]) for row in rows]
        frame = pl.DataFrame(list(rows), infer_schema_length=None).with_columns(majority_answer=pl.Series(guesses))
        self.params = params
        self.predictions = Predictions(Path("predictions.parquet"), "vqa", frame, "annotation")
        self.arms = {"accuracy": ("answer", "correct")}
        """Name of each score, and the columns of its answers and of their marks."""
        for name, column in [(control.replace("-", "_"), COLUMNS[control]) for control in params.controls]:
            self.arms[name] = (f"{column}_answer", f"{column}_correct")
        self.arms["majority"] = ("majority_answer", "majority_correct")
        self._told = {name: self._answered(answer) for name, (answer, _) in self.arms.items()}

    def _answered(self, column: str) -> Predictions:
        return self.predictions.answered(self.predictions.frame[column].fill_null(""))

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        """The same rows with the majority's answer, and for each arm whether it is right."""
        marks = {mark: labels.correct(self._told[name]).tolist() for name, (_, mark) in self.arms.items()}
        marks["majority_answer"] = self.predictions.texts("majority_answer")
        return [{**row, **{name: told[place] for name, told in marks.items()}} for place, row in enumerate(rows)]

    def not_asked(self) -> dict[str, int]:
        """Questions that a control could not be asked of, by control; they count as wrong answers of it."""
        return {name: self.predictions.frame[answer].null_count() for name, (answer, _) in self.arms.items()}

    def scores(self) -> dict[str, Any]:
        """Scores of all questions together, and by question type, modality and sensor."""
        tallies = {name: labels.exact(told) for name, told in self._told.items()}
        told = {"overall": self._score(np.arange(len(self.predictions)), tallies)}
        for name, column in GROUPS.items():
            told[name] = {key: self._score(at, tallies) for key, at in self.predictions.rows_of(column).items()}
        return told

    def _score(self, where: NDArray[np.int64], tallies: Mapping[str, Tally]) -> dict[str, Any]:
        """Accuracy beside its controls, 0 to 1, its interval over chips, and the alarm of a constant answer."""
        part = self.predictions.rows(where)
        asked = [name for name, (answer, _) in self.arms.items() if part.frame[answer].null_count() < len(part)]
        own = tallies["accuracy"].rows(where)
        low, high = own.intervals(self.predictions.groups(), self.params.bootstrap, self.params.seed)["accuracy"]
        return {
            "n": len(part),
            "chips": part.frame["chip_id"].n_unique(),
            **{name: _share(tallies[name].rows(where).scores()["accuracy"]) for name in asked},
            "ci95": [_share(low), _share(high)],
            "constant_answer": spread(part)["constant_answer_alarm"],
        }


def _share(percent: float) -> float:
    return round(percent / 100, DIGITS)


def above_controls(score: Mapping[str, Any], arms: Iterable[str]) -> bool:
    """Whether an accuracy is above every arm beside it."""
    return all(score["accuracy"] > score[name] for name in arms if name != "accuracy" and name in score)


def write_csv(scores: Mapping[str, Any], arms: Iterable[str], path: Path) -> None:
    """Scores as a flat table, one row a group: what `dvc plots` draws."""
    arms = list(arms)
    groups: list[tuple[str, str, Mapping[str, Any]]] = [("overall", "overall", scores["overall"])]
    for group in GROUPS:
        groups += [(group.removeprefix("by_"), name, told) for name, told in scores[group].items()]
    with atomic(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["group", "name", "n", *arms, "low", "high"])
        for group, name, told in groups:
            writer.writerow([group, name, told["n"], *(told.get(arm, "") for arm in arms), *told["ci95"]])
