"""The tables that stage `guesses` leaves, one a set of questions: a guess of each kind to every question."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from tasks.core import paths, tables
from tasks.core.errors import MissingInputError
from tasks.core.stage import require
from tasks.evaluation.metrics.guesses import GUESSES

TEST = "test"
"""What the set of the last stage's test questions is called."""
SEEN, UNSEEN = "trained on", "never trained on"
"""Scenes, by whether some chip of theirs is trained on."""
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((guess.column, pa.string()) for guess in GUESSES.values()),
        ("probe_answer", pa.string()),  # null: the probe cannot say
        ("label_source", pa.string()),  # of the truth; several are joined by +, empty where none is known
        ("scene", pa.string()),  # trained on, or never trained on
        ("asked_in_training", pa.bool_()),  # this very question
    ]
)
"""One row a question that is scored exactly."""
Guessed = dict[str, dict[str, Any]]
"""Rows of `SCHEMA` by question."""


def path_of(name: str) -> Path:
    """The table of one set of questions."""
    return paths.guesses() / f"{name}.parquet"


def read_guesses(name: str, questions: list[str]) -> Guessed:
    """The guesses to some questions.

    Raises:
        MissingInputError: there is no table, or it lacks a question.
    """
    path = require(path_of(name))
    found = {row["id"]: row for row in tables.read(path).to_pylist()}
    lacking = [question for question in questions if question not in found]
    if lacking:
        raise MissingInputError(
            f"{path} has no guess at {len(lacking)} of {len(questions)} questions, the first is {lacking[0]}; they are "
            "of different runs: run `dvc repro guesses`"
        )
    return {question: found[question] for question in questions}
