"""Code that changed between two runs: what it made is made again, what it did not make is left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures import checkout
from tests.tasks.pages import runs_on_disk

RASTER = "tasks/earth/raster.py"
CALIBRATE = "        return to_physical(values, valid, stored, unit, what)"
SCALES = '    scales, offsets = (tuple(getattr(band, name) for _, band in bands) for name in ("scale", "offset"))\n'
HALVED = "        return 0.5 * to_physical(values, valid, stored, unit, what)"


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of Sentinel-2 over Brandenburg, shards of four chips; all has run that `chips` needs."""
    root = checkout.make(tmp_path_factory.mktemp("changed") / "checkout", "sentinel-2")
    checkout.edit(root / "params.yaml", "  virginia: [-75.80, 37.50, -75.40, 37.80]\n", "")
    checkout.edit(root / "params.yaml", "  bigearthnet: [-12.0, 35.0, 32.0, 70.0]\n", "")
    checkout.edit(root / "params.yaml", "parts: [a, b]", "parts: [a]")
    checkout.edit(root / "params.yaml", "shard_size: 1200", "shard_size: 4")
    checkout.edit(root / "params.yaml", "max_quarantined: 0.5", "max_quarantined: 0.0")
    for stage, part in (("scenes", ""), ("scan", "a"), ("labels", "a"), ("select", "")):
        checkout.run(root, f"tasks.{stage}", "--sensor", "sentinel-2", *(["--part", part] if part else []))
    return root


@pytest.fixture
def root(selected: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(selected, tmp_path / "checkout", symlinks=True, copy_function=os.link))


def chips(root: Path, fails: bool = False) -> dict[str, bytes]:
    """The shards that `chips` makes, by name."""
    checkout.run(root, "tasks.chips", "--sensor", "sentinel-2", "--part", "a", fails=fails)
    return {path.name: path.read_bytes() for path in (root / "data/chips/sentinel-2/a").glob("shard-*.parquet")}


def results(root: Path) -> dict[Path, int]:
    """What is kept of the chips of single scenes, and when it was made."""
    found = (root / ".earthloom/results").glob("??/*/chips.arrow")
    return {path: path.stat().st_mtime_ns for path in found}


def kill_after(root: Path, scenes: int) -> dict[Path, int]:
    """Kill `chips` once so many scenes more are through; what is kept of all."""
    before = len(results(root))
    command = [sys.executable, "-m", "tasks.chips", "--sensor", "sentinel-2", "--part", "a"]
    process = subprocess.Popen(command, cwd=root, env=checkout.environment(root))
    while len(results(root)) < before + scenes and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"
    return results(root)


def mend(path: Path, content: bytes) -> None:
    """Put other bytes in a file's place, as a repaired one is put."""
    path.unlink()  # it is a hard link into the repository
    path.write_bytes(content)


@pytest.mark.slow
def test_scenes_of_a_killed_run_are_not_used_once_the_calibration_has_changed(root: Path) -> None:
    before = chips(root)
    assert len(before) > 1
    checkout.edit(
        root / "tasks/earth/chip_pixels.py", SCALES, f"{SCALES}    scales = tuple(0.5 * scale for scale in scales)\n"
    )
    after = chips(root)
    assert after.keys() == before.keys()
    assert not [name for name in before if after[name] == before[name]], "a shard has the old pixels"
    assert chips(root) == after, "a run from nothing gives others"


@pytest.mark.slow
def test_scenes_of_a_killed_run_are_used_as_long_as_code_and_files_are_the_same(root: Path) -> None:
    made = kill_after(root, 1)
    checkout.edit(root / RASTER, CALIBRATE, f"        # of the asset\n{CALIBRATE}")
    chips(root)
    assert made and made.items() <= results(root).items()


@pytest.mark.slow
def test_a_file_that_was_replaced_after_a_shard_was_read_from_it_is_read_again(root: Path) -> None:
    before = chips(root)
    scene = next((root / "samples/assets").rglob("S2A_33UUU_20170216_0_L1C/red.tif"))
    other = scene.with_name("green.tif").read_bytes()
    mend(scene, other)
    assert not [name for name, shard in chips(root).items() if shard == before[name]]


@pytest.mark.slow
def test_a_scene_that_was_repaired_is_read_by_the_very_same_command(root: Path) -> None:
    before = chips(root)
    scene = next((root / "samples/assets").rglob("S2A_33UUU_20170216_0_L1C/red.tif"))
    whole = scene.read_bytes()
    mend(scene, whole[:20_000])
    chips(root, fails=True)
    mend(scene, whole)
    assert chips(root) == before


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_comment_runs_only_the_stage_code_and_an_edit_what_it_reaches_as_all_doors_say(tmp_path: Path) -> None:
    root = checkout.make(tmp_path / "checkout")
    checkout.run(root, "dvc", "repro", "-q", "labels")

    for path in (*(root / "tasks").rglob("*.py"), *(root / "models").rglob("*.py")):
        path.write_text(f"{path.read_text()}\n# A remark.\n")
    assert "code" in checkout.run(root, "earthloom", "status")
    assert would_run(root) == {"code"}
    assert ran(root) == ["code"]

    checkout.edit(root / RASTER, CALIBRATE, HALVED)
    parts = {f"{stage}@landsat-{part}" for stage in ("scan", "labels") for part in "ab"}
    reached = {"code", "check", *parts}
    assert would_run(root) == reached
    assert "tasks.earth.raster" in checkout.run(root, "earthloom", "status")
    assert set(ran(root)) == reached

    checkout.edit(root / "requirements.lock", "s2cloudless==1.7.3", "s2cloudless==1.7.4")
    assert would_run(root) == reached


def would_run(root: Path) -> set[str]:
    """The instances that a dry run of the flow says would run for sure."""
    lines = checkout.run(root, "earthloom", "flow", "build", "--targets", "labels", "--dry-run").splitlines()
    return {line.split()[0] for line in lines if " to run" in line and "instances:" not in line}


def ran(root: Path) -> list[str]:
    """The stages that `dvc repro` runs."""
    lines = checkout.run(root, "dvc", "repro", "labels").splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


SCORES = """
import json, sys
from pathlib import Path
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tasks.pages.runs import ModelRun
from tasks.pages.scored_runs import scored

path = Path(sys.argv[1])
run = ModelRun("A", "nwpu-vhr-10-refer", path, "detection", "NWPU VHR-10", "rgb")
shown = scored(run, path.parent / "cache").honest["f1@0.5"]
print(json.dumps([shown, score_file(path, "detection", ScoringSettings(form="earthdial"))["f1@0.5"]]))
"""


def test_the_board_shows_what_score_gives_after_the_geometry_of_boxes_has_changed(tmp_path: Path) -> None:
    root = checkout.make(tmp_path / "checkout")
    true = [f"[[{10 + 5 * n}, 20, {40 + 5 * n}, 60, 30]]" for n in range(6)]
    near = [f"[[{10 + 5 * n}, 20, {40 + 5 * n}, 62, 30]]" for n in range(6)]
    columns = {"id": [*map(str, range(6))], "question": ["[refer] ships"] * 6, "answer": near, "gt_bbox": true}
    path = runs_on_disk.run(tmp_path, "A", "nwpu-vhr-10-refer", columns)

    def scores() -> list[float]:
        command = [sys.executable, "-c", SCORES, str(path)]
        done = subprocess.run(command, cwd=root, env=checkout.environment(root), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        shown, given = json.loads(done.stdout.splitlines()[-1])
        assert shown == given
        return [shown]

    before = scores()
    checkout.edit(root / "tasks/dialogue/boxes.py", "unit * boxes[:, None, 2:4]", "unit * boxes[:, None, 2:4] ** 40")
    assert scores() != before
