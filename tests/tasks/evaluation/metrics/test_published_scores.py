"""The command that sets our scores of the published answers beside the rerun's."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.published_scores import main
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared/predictions"
PAGE = ROOT / "docs/reference/published-scores.md"
QUICK = ("classification/STARCOP_test", "change/LEVIR_MCI", "change/xBD_object_detection", "detection/ship_dataset_v0")


def _published(folder: Path, right: int) -> Path:
    """25 answers under the name of a published file that scores 96, so many of them right."""
    file = folder / "change/xBD_testset_1.jsonl"
    file.parent.mkdir()
    rows = [{"answer": "fire" if row < right else "wind", "caption0": "fire", "caption1": ""} for row in range(25)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_score_that_is_the_reruns_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(_published(tmp_path, 24)), "--bootstrap", "20"]) == 0
    printed = capsys.readouterr().out
    assert "| change/xBD_testset_1 | all | 25 | accuracy | 96 | 96.00 | +0.00 | 96.37 | yes |" in printed


def test_a_score_that_is_not_the_reruns_is_shown_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(_published(tmp_path, 20)), "--bootstrap", "0"]) == 1
    assert "| accuracy | 96 | 80.00 | -16.00 | 96.37 | **no** |" in capsys.readouterr().out


def test_a_file_without_known_figures_is_scored_and_its_constant_answer_sets_off_the_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vqa").mkdir()
    rows = [{"answer": "yes", "annotation": truth, "vqa_type": "presence"} for truth in ("yes", "no", "no")]
    (tmp_path / "vqa/mine.json").write_text(json.dumps(rows))
    assert main([str(tmp_path), "--bootstrap", "20"]) == 0
    printed = capsys.readouterr().out
    assert "| vqa/mine | presence | 3 | accuracy | - | 33.33 | - | - | - |" in printed
    assert "| vqa/mine | its own answers |  |  |  |  |  | **fires** |" in printed


def test_a_folder_without_files_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path)])
    assert "no folder of a task" in capsys.readouterr().err


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published answers are not beside the checkout")
def test_the_page_of_published_scores_is_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in QUICK:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(SHARED / f"{name}.jsonl", tmp_path / f"{name}.jsonl")
    assert main([str(tmp_path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(QUICK, 2)]
    assert len(rows) >= 50
    assert set(rows) <= set(PAGE.read_text().splitlines())
