"""tasks/evaluation/gate.py: when a new model may take the place of the one in service, and why not."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from tasks.core import tables
from tasks.core.errors import PredictionsError
from tasks.evaluation.gate import Verdict, judge
from tasks.evaluation.gate_params import Margins, PromoteParams
from tasks.evaluation.gate_places import seen_questions
from tasks.evaluation.metrics.predictions import Predictions, read
from tasks.vlm.samples import SCHEMA

ROOT = Path(__file__).parents[3]
PARAMS = PromoteParams(
    modalities={"ms": Margins(margin=0.1, above_controls=0.0)}, min_questions=20, min_chips=5, bootstrap=200, seed=0
)
CHIPS, EACH = 30, 4


def predictions(
    folder: Path,
    name: str,
    right: int,
    blank: int = 40,
    modalities: Sequence[str] = ("ms",),
    chips: int = CHIPS,
    **drop: bool,
) -> Predictions:
    """Answers of which every so many are right: `right` of 100, `blank` of 100 without the image."""
    rows = []
    for modality in modalities:
        for number in range(chips * EACH):
            chip = f"32618-0640-c{number // EACH:05d}-r06512_scene"
            share = number * 37 % 100
            rows.append(
                {
                    "id": f"{modality}/{number}", "image_id": chip, "modality": modality, "question_type": "presence",
                    "question": "Is there water?", "annotation": "yes", "answer": "yes" if share < right else "no",
                    "no_image_answer": "yes" if share < blank else "no", "majority_answer": "no",
                }
            )  # fmt: skip
    frame = pl.DataFrame(rows).drop([column for column, gone in drop.items() if gone])
    frame.write_parquet(folder / f"{name}.parquet")
    return read(folder / f"{name}.parquet", "vqa")


def verdict(folder: Path, new: int, old: int | None, blank: int = 40) -> Verdict:
    serving = None if old is None else predictions(folder, "old", old)
    return judge(predictions(folder, "new", new, blank), serving, PARAMS)


@pytest.mark.parametrize(
    ("new", "old", "passed", "outcome"),
    [
        (90, 70, True, "better"),
        (80, 81, True, "within the margin"),
        (70, 90, False, "worse"),
        (80, None, True, "above its controls"),
        (40, None, False, "below a control"),
        (41, 20, False, "below a control"),
    ],
)
def test_the_interval_of_the_paired_difference_decides(
    tmp_path: Path, new: int, old: int | None, passed: bool, outcome: str
) -> None:
    found = verdict(tmp_path, new, old)
    assert (found.passed, found.modalities[0].outcome) == (passed, outcome), found.reasons
    assert found.as_json() == verdict(tmp_path, new, old).as_json(), "the same files, the same verdict"


def test_scores_stand_beside_the_controls_of_both_models(tmp_path: Path) -> None:
    rows = verdict(tmp_path, 80, 70).rows()
    assert [row["score"] for row in rows] == ["the model", "no image", "majority"]
    assert (rows[0]["new"], rows[0]["in service"]) == ("0.800", "0.700")
    assert (rows[1]["new"], rows[1]["in service"]) == ("0.408", "0.408")
    assert rows[0]["above"] == "-0.100" and rows[1]["above"] == "+0.000"


def test_one_modality_that_got_worse_holds_the_model_back(tmp_path: Path) -> None:
    both = PARAMS.model_copy(update={"modalities": {**PARAMS.modalities, "sar": PARAMS.modalities["ms"]}})
    new, old = (predictions(tmp_path, name, share, modalities=("ms", "sar")) for name, share in (("n", 90), ("o", 70)))
    sar = pl.col("modality") == "sar"
    worse = new.answered(new.frame.select(pl.when(sar).then(pl.lit("no")).otherwise("answer"))["literal"])
    assert judge(new, old, both).passed
    found = judge(worse, old, both)
    assert not found.passed and [one.outcome for one in found.modalities] == ["better", "below a control"]


def test_a_modality_with_too_few_questions_decides_nothing_and_says_so(tmp_path: Path) -> None:
    few = predictions(tmp_path, "few", 90, chips=4)
    found = judge(few, None, PARAMS)
    assert not found.passed
    assert found.modalities[0].outcome == "too few" and "promote.min_questions is 20" in found.reasons[-1]
    assert "no modality has enough questions to decide" in found.reasons


def test_a_modality_that_the_gate_set_does_not_ask_about_is_named(tmp_path: Path) -> None:
    both = PARAMS.model_copy(update={"modalities": {**PARAMS.modalities, "sar": PARAMS.modalities["ms"]}})
    found = judge(predictions(tmp_path, "new", 90), None, both)
    assert found.passed and any("sar, 0 questions" in reason for reason in found.reasons)


def test_a_modality_without_margins_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"promote\.modalities\.sar"):
        judge(predictions(tmp_path, "new", 90, modalities=("ms", "sar")), None, PARAMS)


@pytest.mark.parametrize("column", ["no_image_answer", "modality", "id", "image_id"])
def test_predictions_that_cannot_be_judged_are_refused_by_name(tmp_path: Path, column: str) -> None:
    lacking = predictions(tmp_path, "new", 90, majority_answer=True, **{column: True})
    with pytest.raises(PredictionsError, match=column.replace("no_image_answer", "no answers of a control")):
        judge(lacking, None, PARAMS)


def test_models_that_were_asked_other_questions_are_not_compared(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match="same questions"):
        judge(predictions(tmp_path, "new", 90), predictions(tmp_path, "old", 90, chips=29), PARAMS)


def test_questions_about_places_the_model_in_service_was_trained_on_are_left_out(tmp_path: Path) -> None:
    new, old = predictions(tmp_path, "new", 80), predictions(tmp_path, "old", 80)
    chips = sorted(set(new.frame["image_id"].to_list()))
    # The second is the place of another scene; the third a window of another sensor, three cells wide.
    theirs = {
        chips[0]: chips[0][:24],
        "other": chips[1][:24],
        "wide": "32618-1920-c00002-r02170",
        "test": chips[9][:24],
    }
    ours = {chip: chip[:24] for chip in chips}
    for name, windows in (("theirs", theirs), ("ours", ours)):
        frame = pl.DataFrame({"chip_id": list(windows), "window_id": list(windows.values())})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    samples = [
        {"sample_id": chip, "images": [{"chip_id": chip, "shard": "x", "sensor": "s"}]} for chip in list(theirs)[:3]
    ]
    tables.write_rows(samples, SCHEMA, tmp_path / "train.parquet")
    seen = seen_questions(new, tmp_path / "ours.parquet", [tmp_path / "train.parquet"], tmp_path / "theirs.parquet")
    named = {chips.index(new.frame.filter(pl.col("id") == one)["image_id"][0]) for one in seen}
    assert named == {0, 1, 6, 7, 8}
    found = judge(new, old, PARAMS, seen)
    assert found.left_out == len(seen) == 5 * EACH and found.modalities[0].chips == CHIPS - 5
    assert "20 of 120 questions are about places that the model in service was trained on" in found.reasons[0]


def test_the_command_says_by_its_exit_code_what_it_found(tmp_path: Path) -> None:
    def gate(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "earthloom", "gate", *words],
            cwd=ROOT, env={**os.environ, "COLUMNS": "100"}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    for name, share in (("new", 90), ("old", 60)):
        predictions(tmp_path, name, share)
    new, old = str(tmp_path / "new.parquet"), str(tmp_path / "old.parquet")
    passed, held = gate(new, old), gate(old, new, "--json")
    assert passed.returncode == 0 and "It may be promoted." in passed.stdout, passed.stderr
    assert held.returncode == 1 and json.loads(held.stdout)["passed"] is False
    assert gate(str(tmp_path / "gone.parquet")).returncode == 2
