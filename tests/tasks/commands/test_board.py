import json
import shutil
import subprocess
import sys

import polars as pl

from tests.tasks.evaluation.leakage.sides import ROOT, chips, mixture
from tests.tasks.pages.runs_on_disk import truths


def earthloom(folder, *arguments):
    words = [sys.executable, "-P", "-c", "import earthloom; earthloom.main()", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "COLUMNS": "160"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def demo(folder):
    """What a fresh checkout has after `earthloom demo`: predictions, and the chips they are about."""
    made = mixture(folder / "made", chips()[:8], several=True)
    target = folder / "data/mixture/3/test.parquet"
    target.parent.mkdir(parents=True)
    shutil.copy(made, target)
    truth = truths(8)
    columns = {
        "id": [f"chip{number}#0/rgb turn 0" for number in range(8)],
        "image_id": [f"chip{number}" for number in range(8)],
        "question_type": ["presence"] * 8,
        "question": ["Is there any water in this image?"] * 8,
        "annotation": truth,
        "answer": truth,
        "no_image_answer": ["no"] * 8,
        "other_image_answer": [*truth[1:], None],
        "majority_answer": ["yes"] * 8,
    }
    path = folder / "data/evaluate/earthdial/predictions.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame(columns).write_parquet(path)
    record = {"model": "EarthDial, demo", "benchmark": "demo", "training": "mixture-3-train"}
    path.with_name("run.json").write_text(json.dumps(record))


def test_after_the_demo_there_is_a_board_to_look_at(tmp_path):
    demo(tmp_path)
    done = earthloom(tmp_path, "board")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "data/board/index.html").read_text()
    assert "EarthDial, demo" in text and "the same model without the image" in text
    assert text.count('src="data:image/png') == 4  # every answer is right, and four of them are shown
    assert "the commonest training answer to the same question" in text


def test_a_card_tells_what_the_same_model_says_without_the_right_image(tmp_path):
    demo(tmp_path)
    assert earthloom(tmp_path, "board", "--out", "b.html").returncode == 0
    text = (tmp_path / "b.html").read_text()
    assert text.count("without the image: no") == 4
    assert text.count("shown another one: ") in (3, 4)  # one question has no other image
    assert "bands greyed" not in text  # the run has no such control, so that the key does not explain it


def test_until_it_is_checked_the_demo_is_marked_by_what_its_split_certifies(tmp_path):
    demo(tmp_path)
    (tmp_path / "data/split").mkdir()
    pair = {"min_distance_m": 812.4, "shared_cells": 0}
    path = tmp_path / "data/split/certificate.json"
    for certificate, mark in (
        ({"pairs": {"train-test": pair}}, "812 m from training"),
        ({"pairs": {"train-test": pair | {"shared_cells": 1}}}, "leakage not checked"),
        ({"pairs": {}}, "leakage not checked"),
    ):
        path.write_text(json.dumps(certificate))
        assert earthloom(tmp_path, "board", "--out", "b.html").returncode == 0
        assert mark in (tmp_path / "b.html").read_text()


def test_the_demo_is_marked_once_its_leakage_was_checked(tmp_path):
    demo(tmp_path)
    shutil.copy(tmp_path / "data/mixture/3/test.parquet", tmp_path / "data/mixture/3/train.parquet")
    checked = earthloom(tmp_path, "leakage", "data/mixture/3/train.parquet", "demo")
    assert checked.returncode == 0, checked.stderr
    assert earthloom(tmp_path, "board", "--out", "b.html").returncode == 0
    assert "leaky: 100.0 %" in (tmp_path / "b.html").read_text()


def test_a_comparison_with_an_unknown_model_is_an_error_for_people(tmp_path):
    demo(tmp_path)
    done = earthloom(tmp_path, "board", "--against", "EarthDial, demo", "Nobody")
    assert done.returncode == 1
    assert "there is no run of a model 'Nobody'; there are EarthDial, demo" in done.stderr
    assert not (tmp_path / "data/board/index.html").exists()
