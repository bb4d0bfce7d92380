"""Bad files of predictions: named, counted, then refused or scored as wrong, as docs/reference/metrics.md says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.compare import compare
from tasks.evaluation.metrics.predictions import MAX_CHARACTERS, MAX_TEXT_CHARACTERS, read
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tests.conftest import ROOT

FAST = ScoringSettings(draws=50)
GOOD = {"question": "?", "answer": "yes", "annotation": "yes", "vqa_type": "presence"}
BOX = "[[0, 0, 10, 10, 0]]"


def _file(tmp_path: Path, *rows: Any, name: str = "predictions.jsonl") -> Path:
    path = tmp_path / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def _detection(tmp_path: Path, answer: str, truth: str = BOX) -> dict[str, Any]:
    return score_file(_file(tmp_path, {"answer": answer, "gt_bbox": truth}), "detection", FAST)


def test_unknown_fields_are_named_and_counted(tmp_path: Path) -> None:
    scores = score_file(_file(tmp_path, GOOD, GOOD | {"flavour": "salt"}), "vqa", FAST)
    assert scores["input"]["unknown_fields"] == {"flavour": 1}
    assert scores["accuracy"] == 100


@pytest.mark.parametrize("protocol", ["honest", "legacy"])
def test_a_row_without_an_answer_is_wrong(protocol: Any, tmp_path: Path) -> None:
    silent = {name: value for name, value in GOOD.items() if name != "answer"}
    path = _file(tmp_path, GOOD, silent, GOOD | {"answer": None}, json.dumps(GOOD | {"answer": float("nan")}))
    scores = score_file(path, "vqa", ScoringSettings(protocol, draws=50))
    assert (scores["accuracy"], scores["input"]["missing_answers"]) == (25, 3)


def test_a_row_without_a_truth_is_wrong_and_counted(tmp_path: Path) -> None:
    scores = score_file(_file(tmp_path, GOOD, GOOD | {"annotation": "", "answer": ""}), "vqa", FAST)
    assert (scores["accuracy"], scores["input"]["empty_references"]) == (50, 1)


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD | {"id": 1}, GOOD | {"id": 2}, GOOD | {"id": 1})
    with pytest.raises(PredictionsError, match=r"1 ids stand more than once, first '1' in rows 1, 3"):
        read(path, "vqa")


def test_turns_of_one_sample_are_different_questions(tmp_path: Path) -> None:
    assert len(read(_file(tmp_path, *(GOOD | {"sample_id": "a", "turn": turn} for turn in range(3))), "vqa")) == 3


def test_a_box_of_four_numbers_has_angle_0_and_one_of_six_is_wrong(tmp_path: Path) -> None:
    four = _detection(tmp_path, "[[0, 0, 10, 10]]")
    assert (four["precision@0.5"], four["input"]["predicted_boxes_without_angle"]) == (100, 1)
    six = _detection(tmp_path, BOX + "[[0, 0, 10, 10, 0, 3]]")
    assert (six["precision@0.5"], six["recall@0.5"]) == (50, 100)
    assert six["input"]["predicted_boxes_malformed"] == 1


@pytest.mark.parametrize(
    "broken", ["[[0, 0, NaN, 10, 0]]", "[[0, 0, 1e999, 10, 0]]", "[[a, b]]", "[[1e300, 0, 5, 5, 0]]"]
)
def test_a_box_that_is_no_box_is_a_wrong_prediction(broken: str, tmp_path: Path) -> None:
    assert _detection(tmp_path, BOX + broken)["precision@0.5"] == 50


def test_coordinates_beyond_the_range_are_counted_and_scored_as_they_stand(tmp_path: Path) -> None:
    scores = _detection(tmp_path, "[[90, 90, 131, 131, 0]]", "[[90, 90, 131, 131, 0]]")
    assert scores["precision@0.5"] == 100
    assert (scores["input"]["predicted_boxes_beyond_range"], scores["input"]["true_boxes_beyond_range"]) == (1, 1)


def test_a_unicode_minus_is_a_minus(tmp_path: Path) -> None:
    scores = _detection(tmp_path, "[[\N{MINUS SIGN}5, 0, 10, 10, 0]]", "[[-5, 0, 10, 10, 0]]")
    assert (scores["precision@0.5"], scores["input"]["unicode_minus"]) == (100, 1)


def test_an_answer_cut_short_keeps_its_whole_boxes(tmp_path: Path) -> None:
    scores = _detection(tmp_path, BOX + "[[3, 4, 1")
    assert (scores["precision@0.5"], scores["input"]["predicted_boxes_cut_short"]) == (100, 1)


def test_a_true_box_that_is_no_box_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"1 rows have a true box that is not four or five numbers, first row 1"):
        _detection(tmp_path, BOX, "[[1, 2, 3]]")


@pytest.mark.parametrize("protocol", ["honest", "legacy"])
def test_a_file_of_another_task_is_refused(protocol: Any, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="is --task detection right"):
        score_file(_file(tmp_path, GOOD), "detection", ScoringSettings(protocol))
    with pytest.raises(PredictionsError, match=r"no truth for --task vqa: one of 'annotation', 'groundtruth'"):
        score_file(_file(tmp_path, {"answer": "a", "gt_bbox": BOX}), "vqa", FAST)


@pytest.mark.parametrize("task", ["vqa", "captioning", "detection"])
@pytest.mark.parametrize("protocol", ["honest", "legacy"])
def test_an_answer_of_a_megabyte_is_no_answer(task: Any, protocol: Any, tmp_path: Path) -> None:
    huge = "yes " * (MAX_CHARACTERS // 2)
    path = _file(tmp_path, GOOD | {"answer": huge, "caption0": "yes", "gt_bbox": BOX})
    scores = score_file(path, task, ScoringSettings(protocol, draws=50))
    assert scores["input"]["oversized_answers"] == 1
    assert {scores.get(name, 0) for name in ("accuracy", "rougeL", "precision@0.5")} == {0}


def test_empty_references_are_left_out_of_captions(tmp_path: Path) -> None:
    row = {"answer": "a road", "caption0": "a road", "caption1": "", "caption2": " "}
    scores = score_file(_file(tmp_path, row), "captioning", FAST)
    assert (scores["rougeL"], scores["input"]["references_without_words"]) == (100, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ('{"answer": "a", "annotation": "b"}\n{"answer": \n', "line 2 is not JSON"),
        ('{"answer": "a", "annotation": "b"}\n[1, 2]\n', "line 2 is not an object"),
        ("[1, 2]", "row 1 is not an object"),
        ("[]", "has no row"),
        ('{"question": "?"}\n', "has no field 'answer'"),
        ('[{"answer": ', "is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(content)
    with pytest.raises(PredictionsError, match=said):
        read(path, "vqa")


@pytest.mark.parametrize("content", ["just a line\nyes\n", '{\n "rows": []\n}', '[{"answer": '])
def test_a_file_of_another_format_is_told_which_formats_there_are(content: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(PredictionsError, match=r"JSON lines, one JSON array of objects, in UTF-8, or Parquet"):
        read(path, "vqa")
    with pytest.raises(PredictionsError, match="is not a file"):
        read(tmp_path, "vqa")


@pytest.mark.parametrize("truths", [["", None], [" ", ""]])
def test_a_file_without_any_truth_is_refused(truths: list, tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="'annotation' is empty in every row"):
        read(_file(tmp_path, *(GOOD | {"annotation": truth} for truth in truths)), "vqa")
    captions = [{"answer": "a", "caption0": "", "caption1": truth} for truth in truths]
    with pytest.raises(PredictionsError, match="'caption0' is empty in every row"):
        read(_file(tmp_path, *captions), "captioning")
    assert len(read(_file(tmp_path, *captions, captions[0] | {"caption1": "a"}), "captioning")) == 3


@pytest.mark.parametrize(("task", "longest"), [("vqa", MAX_CHARACTERS), ("region_captioning", MAX_TEXT_CHARACTERS)])
def test_a_truth_beyond_all_measure_is_refused(task: Any, longest: int, tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD, GOOD | {"annotation": "y" * (longest + 1)})
    with pytest.raises(PredictionsError, match=f"row 2: 'annotation' has {longest + 1:,} characters, a truth"):
        read(path, task)


@pytest.mark.parametrize("task", ["captioning", "change"])
@pytest.mark.parametrize("protocol", ["honest", "legacy"])
def test_brackets_without_end_are_a_text_like_any(task: Any, protocol: Any, tmp_path: Path) -> None:
    path = _file(tmp_path, {"answer": "[" * 5000, "caption0": "[" * 5000, "caption1": "a road was built here"})
    assert score_file(path, task, ScoringSettings(protocol, draws=0))["rougeL"] == 0


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_bytes(b'{"answer": "\xff\xfe", "annotation": "b"}\n')
    with pytest.raises(PredictionsError):
        read(path, "vqa")


def test_lines_an_array_and_parquet_score_the_same(tmp_path: Path) -> None:
    rows = [GOOD | {"answer": answer, "count": 3} for answer in ("yes", "no", "no")]
    lines = _file(tmp_path, *rows)
    array = tmp_path / "array.json"
    array.write_text(json.dumps(rows))
    parquet = tmp_path / "rows.parquet"
    pl.DataFrame(rows).write_parquet(parquet)
    scores = [score_file(path, "vqa", FAST) for path in (lines, array, parquet)]
    assert scores[0] == scores[1] == scores[2]


def test_a_whole_number_beside_a_fraction_stays_whole(tmp_path: Path) -> None:
    rows = [GOOD | {"answer": 3, "annotation": "3", "extra": [1]}, GOOD | {"answer": 2.5, "extra": [[0.5]]}]
    assert read(_file(tmp_path, *rows), "classification").texts("answer") == ["3", "2.5"]


def test_bytes_beside_the_answers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    image = [{"bytes": b"\xff\xd8", "path": "a.jpg"}, {"bytes": b"\xff", "path": "b.jpg"}]
    rows = {"answer": ["yes", "no"], "annotation": ["yes", "yes"], "thumbnail": [b"\xff\xfe", b"ok"], "image": image}
    pl.DataFrame(rows).write_parquet(path)
    scores = score_file(path, "classification", FAST)
    assert (scores["accuracy"], scores["images"], scores["input"]["unknown_fields"]) == (50, 2, {"thumbnail": 1})


def test_numbers_as_answers_are_read_as_text(tmp_path: Path) -> None:
    path = _file(tmp_path, GOOD | {"answer": 3, "annotation": "3"}, GOOD | {"answer": "3", "annotation": 3})
    assert score_file(path, "vqa", FAST)["accuracy"] == 100


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([GOOD], "has 2 rows, .* 1: a paired test needs the same questions"),
        ([GOOD, GOOD | {"annotation": "no"}], "row 2: 'annotation' of .* is not that of"),
        ([GOOD | {"id": "a"}, GOOD | {"id": "b"}], "only one has ids"),
    ],
)
def test_two_files_of_different_questions_are_refused(other: list, said: str, tmp_path: Path) -> None:
    first, second = _file(tmp_path, GOOD, GOOD), _file(tmp_path, *other, name="other.jsonl")
    with pytest.raises(PredictionsError, match=said):
        compare(read(first, "vqa"), read(second, "vqa"), FAST)


def test_a_confidence_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"row 2: confidence is '1\.5'"):
        score_file(_file(tmp_path, GOOD | {"confidence": 0.5}, GOOD | {"confidence": 1.5}), "vqa", FAST)


def test_the_command_prints_one_object_or_a_table_and_fails_with_a_sentence(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "earthloom", "score", *arguments, "--bootstrap", "50"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    path = str(_file(tmp_path, GOOD, GOOD | {"answer": "no"}))
    finished = run(path, "--task", "vqa", "--protocol", "honest", "--json", "--against", path)
    assert (finished.returncode, json.loads(finished.stdout)["accuracy"]) == (0, 50)
    assert json.loads(finished.stdout)["against"]["accuracy"]["difference"] == 0
    shown = run(path, "--task", "vqa", "--protocol", "legacy")
    assert shown.returncode == 0 and "50.00" in shown.stdout
    odd = _file(tmp_path, GOOD | {"vqa_type": "[/red]", "answer": "\N{SATELLITE}"}, GOOD, name="[red].jsonl")
    narrow = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    for format_ in (["--json"], []):
        command = [sys.executable, "-m", "earthloom", "score", str(odd), "--task", "vqa", *format_]
        finished = subprocess.run(command, cwd=ROOT, env=narrow, capture_output=True, timeout=120, check=False)
        assert finished.returncode == 0 and b"[/red]" in finished.stdout
    missing = run(str(tmp_path / "nowhere.jsonl"), "--task", "vqa", "--json")
    assert missing.returncode == 2 and missing.stdout == "" and "is not there" in missing.stderr
