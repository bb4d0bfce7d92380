"""`earthloom score` of what `earthloom evaluate` left: run.json beside it tells the task and the form of boxes."""

import json
from pathlib import Path

import pytest

from tasks.commands.score import score
from tasks.core.errors import PredictionsError


def answered(tmp_path: Path, run: object = None) -> Path:
    """One box of the whole image, in the form of 0 to 1000, right."""
    row = {"answer": "[[0, 0, 1000, 1000]]", "gt_bbox": "[[0, 0, 1000, 1000]]"}
    path = tmp_path / "predictions.jsonl"
    path.write_text(json.dumps(row) + "\n")
    if run is not None:
        (tmp_path / "run.json").write_text(run if isinstance(run, str) else json.dumps(run))
    return path


def test_task_and_form_of_boxes_are_those_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    score(answered(tmp_path, {"task": "detection", "boxes": "internvl"}), json_=True, bootstrap=0)
    scores = json.loads(capsys.readouterr().out)
    assert scores["f1@0.5"] == 100 and scores["controls"]["whole_image"]["f1@0.5"] == 100


def test_what_is_given_goes_before_what_the_run_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = answered(tmp_path, {"task": "captioning", "boxes": "earthdial"})
    score(path, task="detection", boxes="internvl", json_=True, bootstrap=0)
    assert json.loads(capsys.readouterr().out)["f1@0.5"] == 100


@pytest.mark.parametrize("run", [None, "no JSON {", ["a list"], {"task": "guessing"}])
def test_without_a_run_that_tells_the_task_it_is_asked_for(tmp_path: Path, run: object) -> None:
    with pytest.raises(PredictionsError, match=r"give --task classification\|vqa"):
        score(answered(tmp_path, run))


def test_a_form_of_boxes_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="has boxes as 'xywh'; give --boxes"):
        score(answered(tmp_path, {"task": "detection", "boxes": "xywh"}))
