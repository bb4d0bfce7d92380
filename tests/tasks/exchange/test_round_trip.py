"""What was exported comes back through our own imports: every conversation, no row repaired, the same pictures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tasks.core import tables
from tasks.dialogue.conversations import load
from tasks.earth import geotiff
from tasks.earth.pictures import decode
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.run import export
from tests.conftest import ROOT
from tests.fixtures import exportable_dataset

FORMS = (("llava", "llava", "train.json"), ("sharegpt", "sharegpt", "sharegpt/train.jsonl"),
         ("sharegpt", "messages", "messages/train.jsonl"))  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exportable_dataset.write(tmp_path_factory.mktemp("built"), chips=8, sensors=("sentinel-2",))


@pytest.mark.parametrize(("form", "command", "file"), FORMS)
def test_conversations_and_pictures_come_back(form: str, command: str, file: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(form, data, out, Options())
    asked = [sys.executable, "-m", "earthloom", "import", command, str(out / file), "--sensor", "s2-rgb8"]
    asked += ["--images", str(out), "--out", str(tmp_path / "in"), "--name", "back", "--strict"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    back = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert back.returncode == 0, back.stdout + back.stderr
    rows = tables.read(tmp_path / "in/back/conversations").to_pylist()
    assert len(rows) == done.tally.conversations["sentinel-2", "train"]
    found = sorted((load(row["conversations"])[0][0].rpartition("\n")[2], row["turns"][0]["answer"]) for row in rows)
    side = {row["chip_id"]: row["split"] for row in tables.read(data / "split/assignment.parquet").to_pylist()}
    written = [row for path in data.glob("qa/*/*/conv*") for row in tables.read(path).to_pylist()]
    expected = [row["turns"][0] for row in written if side[row["chip_id"]] == "train"]
    assert found == sorted((turn["question"], turn["answer"]) for turn in expected)
    chips = tables.read_shards(tmp_path / "in/back/chips", ["pixels"])["pixels"].to_pylist()
    pictures = {decode(path).pixels.tobytes() for path in (out / "images").rglob("*.png")}
    assert {np.asarray(geotiff.decode(chip, what="chip").pixels).tobytes() for chip in chips} <= pictures
