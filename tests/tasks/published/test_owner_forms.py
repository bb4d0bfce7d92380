"""`earthloom import rsicap|iconqa`: the files of RS-MoE's repository, laid out as their owners publish them."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks import mixture, subtasks
from tasks.core import paths, tables
from tests.conftest import ROOT
from tests.fixtures.own_conversations import conversations, picture, refused, rejects, take
from tests.fixtures.small_dataset import write_dataset, write_params

ASK = "Take a look at this image and describe what you notice."
SAY = "This is an aerial image with high resolution. There are six boats. They lie along a pier in the bottom left."


def caption(number: int, **other: Any) -> dict[str, Any]:
    return {
        "image_id": str(number), "filename": f"P000{number}_0001.png", "text_input": ASK, "text_output": SAY, **other,
    }  # fmt: skip


@pytest.fixture
def rsicap(tmp_path: Path) -> Path:
    """dataset/RSICap of RSGPT's repository: captions.json, an object around the list, and images/."""
    folder = tmp_path / "RSGPT/dataset/RSICap"
    (folder / "images").mkdir(parents=True)
    for number in range(2):
        (folder / f"images/P000{number}_0001.png").write_bytes(picture(number))
    content = {"annotations": [caption(0), caption(1, text_output="A road. It is grey.")]}
    (folder / "captions.json").write_text(json.dumps(content, indent=4))
    return folder


def choice(number: int = 1000, **other: Any) -> dict[str, Any]:
    return {
        "id": number, "question": "How many boats are there?", "choices": ["2", "3", "5"], "answer": 1,
        "ques_type": "choose_txt", "grade": "prek", "split": "train", **other,
    }  # fmt: skip


@pytest.fixture
def iconqa(tmp_path: Path) -> Path:
    """A folder an id with image.png in it, the records in a JSON file beside."""
    folder = tmp_path / "in/images"
    (folder / "1000").mkdir(parents=True)
    (folder / "1000/image.png").write_bytes(picture(3))
    return tmp_path / "in"


def test_rsicap_becomes_training_data_whose_captions_are_dealt_out_to_the_experts(rsicap: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_dataset(project, 8, ("sentinel-2",))
    done = subprocess.run(
        [sys.executable, "-m", "earthloom", "import", "rsicap", rsicap, "--sensor", "hr-rgb8"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    write_params(project, ["sentinel-2"], mixture={"stage3": {"imported": {"rsicap": 1}}})
    with contextlib.chdir(project):
        mixture.run("3")
        subtasks.run()
        rows = {row["sample_id"]: row for row in tables.read(paths.subtasks() / "train.parquet").to_pylist()}
    first, second = (rows[name] for name in sorted(rows) if name.startswith("rsicap-"))
    assert json.loads(first["conversations"])[0]["value"] == f"[hr_rgb_0.5] <image>\n{ASK}"
    assert first["question_types"] == ["caption"]
    assert [target["expert"] for target in first["targets"][0]] == ["theme", "object", "relation"]
    assert [target["text"] for target in second["targets"][0]] == ["A road.", "It is grey."]


def test_the_split_by_sub_task_is_read_as_well_and_the_test_set_is_refused(rsicap: Path) -> None:
    split = {"filename": "P0000_0001.png", "text_input": "What is the theme?", "caption": "A harbour."}
    records = [
        split,
        {"filename": "P0000_0001.png", "caption": "A harbour.", "qa_pairs": [{"question": "Is it?", "answer": "Yes."}]},
        caption(9),
        {**caption(0), "text_output": None},
        {**caption(0), "filename": None},
        {**caption(0), "text_input": 3},
    ]
    path = rsicap / "themes.json"
    path.write_text(json.dumps(records))
    outcome = take(path, "rsicap")
    assert [talk["turns"][0]["answer"] for talk in conversations(outcome, path)] == ["A harbour."]
    assert [reason for _, reason in rejects(outcome, path)] == [
        "other-split", "missing-image", "missing-text", "missing-image", "wrong-type",
    ]  # fmt: skip


def test_captions_cut_short_are_named_and_what_came_before_is_kept(rsicap: Path) -> None:
    path = rsicap / "captions.json"
    path.write_text(path.read_text()[:-40])
    outcome = take(path, "rsicap")
    assert outcome.counts.kept == 1 and "cut short" in outcome.unreadable["captions.json"]


def test_iconqa_s_index_becomes_the_letter_and_text_of_the_choice(iconqa: Path) -> None:
    path = iconqa / "train.json"
    path.write_text(json.dumps([choice()]))
    outcome = take(path, "iconqa")
    [talk] = conversations(outcome, path)
    [turn] = talk["turns"]
    assert turn["question"].endswith("Question: How many boats are there? Options: (a) 2 (b) 3 (c) 5. Short answer:")
    assert (turn["answer"], turn["question_type"]) == ("(b) 3", "vqa")
    assert json.loads(turn["claim"]) == {"answer": 1, "choices": ["2", "3", "5"], "id": "1000"}


def test_what_is_no_question_with_choices_of_texts_is_refused_with_its_reason(iconqa: Path) -> None:
    rows = [
        choice(answer=3),
        choice(answer="1"),
        choice(answer=True),
        choice(choices=["2", 3]),
        choice(ques_type="choose_img", choices=["choice_0.png", "choice_1.png"]),
        {"id": 1000, "question": "How many?", "answer": "4", "ques_type": "fill_in_blank"},
        choice(question=None),
        choice(number=7),
        choice(number="../1000"),
    ]
    assert refused(iconqa, *rows, form="iconqa") == [
        "wrong-type", "wrong-type", "wrong-type", "wrong-type", "unsupported", "unsupported", "missing-text",
        "missing-image", "unsafe-path",
    ]  # fmt: skip
