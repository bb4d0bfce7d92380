"""Multiple choice: what an answer in words chooses is scored, not its words."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.evaluation.metrics.score import ScoringSettings, score_file

OPTIONS = ["Dam", "Port", "Bog"]


def scored(tmp_path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    path = tmp_path / "predictions.parquet"
    pl.DataFrame(
        [{"answer_type": "choice", "options": OPTIONS, "vqa_type": "scene", **row} for row in rows]
    ).write_parquet(path)
    return score_file(path, "vqa", ScoringSettings(draws=50))


@pytest.mark.parametrize("answer", ["B", "b.", "(B)", "B. Port", "b) ", "The answer is B.", "port", "B: a port"])
def test_a_choice_is_right_however_it_is_told(tmp_path: Path, answer: str) -> None:
    assert scored(tmp_path, [{"answer": answer, "annotation": "B"}])["accuracy"] == 100


@pytest.mark.parametrize("answer", ["A", "A. Port", "A, B", "", "harbour", "A port", "A, B, C", "Dam, Port, Bog"])
def test_another_choice_several_or_none_are_wrong(tmp_path: Path, answer: str) -> None:
    assert scored(tmp_path, [{"answer": answer, "annotation": "B"}])["accuracy"] == 0


def test_several_right_choices_are_a_set(tmp_path: Path) -> None:
    rows = [{"answer": answer, "annotation": "A C"} for answer in ("C, A", "AC", "A and C", "A", "A, B, C")]
    assert scored(tmp_path, rows)["accuracy"] == 60


def test_the_answers_of_a_control_are_read_alike_and_other_kinds_of_questions_as_they_stand(tmp_path: Path) -> None:
    rows = [
        {"answer": "B. Port", "no_image_answer": "A. Dam", "annotation": "B"},
        {"answer": "A. Dam", "no_image_answer": "(B)", "annotation": "B"},
        {"answer": "B", "no_image_answer": "B", "annotation": "B. Port", "answer_type": "class", "vqa_type": "zone"},
    ]
    scores = scored(tmp_path, rows)
    assert scores["by_type"]["scene"]["accuracy"] == 50 and scores["by_type"]["zone"]["accuracy"] == 0
    assert scores["controls"]["no_image"]["accuracy"] == pytest.approx(100 / 3, abs=0.01)
    assert scores["controls"]["majority"]["answer"] == "B"
