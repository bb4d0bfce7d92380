"""Pairs of a dataset that contradict each other are counted, wherever the rows of their chip stand."""

from pathlib import Path
from typing import Any

import pytest

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.dialogue.conversations import SCHEMA
from tasks.quality.consistency import count, rows_of


def row(chip: str, question: str, answer: str, kind: str, labels: list[str]) -> dict[str, Any]:
    turn = {
        "question": question,
        "answer": answer,
        "question_type": kind,
        "labels_used": labels,
        "verdict": "supported",
    }
    return {"chip_id": chip, "turns": [turn]}


def test_a_yes_and_a_no_about_one_chip_are_counted_and_those_about_two_chips_are_not(tmp_path: Path) -> None:
    asked = "Is there any water in this image?"
    rows = [
        row("a", asked, "yes", "presence", ["water"]),
        row("b", asked, "no", "presence", ["water"]),
        row("c", asked, "yes", "presence", ["water"]),
        row("a", "Does the picture show water?", "no", "absence", ["water"]),
    ]
    path = tmp_path / "landsat/a/conversations.parquet"
    tables.write_rows(rows, SCHEMA, path)
    found = count(rows_of(tmp_path))
    assert (found["chips"], found["pairs"], found["contradictory"]) == (3, 4, 2)
    assert found["by_type"] == {"absence": 1, "presence": 1}


def test_a_folder_without_conversations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="dvc repro qa"):
        count(rows_of(tmp_path))
