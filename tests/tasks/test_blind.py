"""Stage `blind`: it learns from the training side alone and leaves marks beside every kind of test question."""

import contextlib
from pathlib import Path

import pytest

from tasks import blind
from tasks.core import paths
from tasks.core.stage import read_json
from tests.fixtures.small_dataset import write_dataset, write_params

SENSORS = ("sentinel-2", "sentinel-1")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_dataset(tmp_path, 16, SENSORS)
    write_params(tmp_path, list(SENSORS))
    return tmp_path


def test_it_marks_kinds_of_the_test_side_and_says_how_many_questions_they_have(dataset: Path) -> None:
    with contextlib.chdir(dataset):
        summary = blind.run()
        test = list(blind.questions("test"))
        found = read_json(paths.blind() / "marks.json")
    assert summary["questions"] == len(test) > 0
    assert set(found["kinds"]) == {item.kind for item in test}
    assert found["marked"] == [kind for kind, one in found["kinds"].items() if one["marked"]]
    assert all(one["marked"] == (one[one["best"]]["lead"] > found["lead"]) for one in found["kinds"].values())


def test_training_and_test_side_share_no_chip(dataset: Path) -> None:
    with contextlib.chdir(dataset):
        sides = [{item.chip_id for item in blind.questions(side)} for side in ("train", "test")]
    assert all(sides) and not sides[0] & sides[1]


def test_two_runs_leave_the_same_bytes(dataset: Path) -> None:
    with contextlib.chdir(dataset):
        blind.run()
        first = (paths.blind() / "marks.json").read_bytes()
        blind.run()
        assert (paths.blind() / "marks.json").read_bytes() == first
