"""docs/how-to/run-benchmarks.md as a stranger follows it: owners' files, answers, scores, leaks, the board."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tasks.evaluation.datasets.images import decode
from tasks.evaluation.datasets.samples import BenchmarkSample, read_samples
from tasks.evaluation.runner.predictions import in_form, truths
from tests.fixtures.small_dataset import ROOT
from tests.fixtures.tiny_checkpoint import write_checkpoint
from tests.tasks.evaluation.datasets.files import picture, write_json
from tests.tasks.evaluation.datasets.test_objects import text
from tests.tasks.evaluation.datasets.test_questions import rsvqa
from tests.tasks.evaluation.leakage.sides import mixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SAID = {"aid": "Airport", "geobench-vlm-single": "B. Port"}
"""What the model says to every question of a benchmark; to the others it says the truth."""
FILES = {"aid": "aid", "rsvqa-lr": "rsvqa", "nwpu-vhr-10-refer": "nwpu", "geobench-vlm-single": "geobench"}
EVALUATE = ("evaluate", "data/train/3", "--benchmarks", *FILES, "--controls", "no-image", "other-image")


def owners_files(folder: Path) -> None:
    """What the owners of four benchmarks publish, of a few pictures."""
    for number, label in enumerate(("Airport", "Port", "Viaduct") * 2):
        picture(folder / f"aid/AID/{label}/{label}_{number}.jpg", number, size=(32, 32))
    rsvqa(folder / "rsvqa")
    # Of one tile, as what the checkpoint learned by heart.
    picture(folder / "nwpu/positive image set/001.jpg", 7, size=(60, 60))
    text(folder / "nwpu/ground truth/001.txt", "(12,6),(24,18),1\r\n(36,6),(48,18),1\r\n(0,0),(60,60),10\r\n")
    for number in range(4):
        picture(folder / f"geobench/Single/images/{number}.png", 20 + number, size=(64, 64))
    record = {"prompts": ["What is it?"], "options": "A. Dam B. Port", "options_list": ["Dam", "Port"], "task": "Scene"}
    rows = [
        record | {"image_path": f"Single/images/{n}.png", "question_id": n, "ground_truth_option": "AB"[n % 2]}
        for n in range(4)
    ]
    write_json(folder / "geobench/Single/qa.json", rows)


def taught(sample: BenchmarkSample) -> tuple[str, str]:
    """A question as the model is asked it, and what it learns by heart to say."""
    question = in_form(sample.question, "internvl")
    answer = SAID.get(sample.benchmark, truths(sample.row(), "internvl")[0])
    return question if "<image>" in question else f"<image>\n{question}", answer


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported benchmarks, the checkpoint of stage 3, and what it was trained on, which holds one of the pictures."""
    root = tmp_path_factory.mktemp("project")
    owners_files(root / "files")
    samples = []
    for name, folder in FILES.items():
        assert "questions about" in earthloom(root, "bench", "import", name, f"files/{folder}")
        samples += read_samples(root / f"data/benchmarks/imported/{name}")
    write_checkpoint(root / "data/train/3", list(dict.fromkeys(map(taught, samples))), steps=240)
    seen = next(sample for sample in samples if sample.benchmark == "geobench-vlm-single")
    pixels = decode(seen.images[0], root / "data/benchmarks/imported/geobench-vlm-single")
    mixture(root / "data/mixture/3", [pixels])
    return root


def earthloom(root: Path, *words: str, code: int = 0) -> str:
    """The command; what it says on both streams."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "earthloom", *words]
    done = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_the_owners_files_to_a_board_with_scores_controls_and_leaks(project: Path) -> None:
    refused = " ".join(earthloom(project, *EVALUATE, code=1).split())
    assert "has statistics of landsat, sentinel-1, sentinel-2 only" in refused and "--normalise-from" in refused
    assert not (project / "data/benchmarks-runs").exists()

    shown = earthloom(project, *EVALUATE, "--normalise-from", "published", "--max-new-tokens", "40")
    assert "constant answer" in shown and "2 have no other_image: no_other_image" in shown
    runs = project / "data/benchmarks-runs/train-3"
    told = {name: json.loads((runs / name / "run.json").read_text()) for name in FILES}
    assert {run["training"] for run in told.values()} == {"mixture-3-train"}
    assert {run["boxes"] for run in told.values()} == {"internvl"}
    choices = pl.read_parquet(runs / "geobench-vlm-single/predictions.parquet")
    assert set(choices["answer"]) == {"B. Port"} and set(choices["extracted"]) == {"B"}

    # Task and form of boxes come from run.json: nothing else is said here.
    scores = {
        name: json.loads(earthloom(project, "score", f"{runs / name}/predictions.parquet", "--json")) for name in FILES
    }
    assert scores["geobench-vlm-single"]["accuracy"] == 50
    assert scores["rsvqa-lr"]["accuracy"] == 100 and scores["aid"]["accuracy"] == pytest.approx(100 / 3, abs=0.01)
    assert scores["nwpu-vhr-10-refer"]["f1@0.5"] == 100
    assert scores["nwpu-vhr-10-refer"]["controls"]["whole_image"]["f1@0.5"] == 40  # one of three, in two answers
    for name, score in scores.items():
        headline = score.get("accuracy", score.get("f1@0.5"))
        assert re.search(rf"{name} .* {headline:.2f} ", shown), name

    checked = earthloom(project, "leakage", "data/mixture/3/train.parquet", *FILES)
    assert "training: mixture-3-train" in " ".join(checked.split())
    assert "board/index.html" in earthloom(project, "board")
    text = (project / "data/board/index.html").read_text()
    rows = re.findall(r"<tr id=.*?</tr>", text, re.DOTALL)
    assert len(rows) == 4
    leaky = [row for row in rows if "leaky: 25.0 %" in row]
    assert len(leaky) == 1 and "GEOBench" in leaky[0] and sum("no leak found" in row for row in rows) == 3
    # EarthDial's scorer counts no multiple choice: nothing stands for it, and the board is there all the same.
    assert "token recall" not in leaky[0] and sum("token recall" in row for row in rows) == 2
    assert text.count('src="data:image/') > 8
