"""Every bad input meets the real servers, and gets a clear error or a quarantine row with its reason."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import rasterio

from tests.conftest import ROOT, Run, edit_params_of, fill_workspace, stage_in

Edit = Callable[[str, str], None]
SCENE = "S2A_33UUU_20170216_0_L1C"
PATCH = "S2A_MSIL2A_20170613T101031_87_48"


@pytest.fixture
def brandenburg(edit_params: Edit) -> None:
    """Ask for one place only, so that the tests are quick."""
    _ask_for_one_place(edit_params)


def _ask_for_one_place(edit_params: Edit) -> None:
    edit_params("  virginia: [-75.80, 37.50, -75.40, 37.80]\n", "")
    edit_params("  bigearthnet: [-12.0, 35.0, 32.0, 70.0]\n", "  upper-austria: [13.6, 48.1, 13.8, 48.3]\n")


def _replace(path: Path, content: bytes) -> None:
    path.unlink()  # the file is a hard link into the repository
    path.write_bytes(content)


def _asset(workspace: Path, key: str, item: str = SCENE, collection: str = "sentinel-2-l1c") -> Path:
    document = json.loads((workspace / f"samples/catalog/items/{collection}/{item}.json").read_text())
    return workspace / "samples" / document["assets"][key]["href"]


def _scan(run_stage: Run) -> None:
    for stage, options in (("scenes", [{}]), ("scan", [{"part": "a"}, {"part": "b"}])):
        for option in options:
            done = run_stage(stage, sensor="sentinel-2", **option)
            assert done.returncode == 0, done.stderr


def test_an_unreachable_catalog_is_named_with_its_address(run_stage: Run, edit_params: Edit) -> None:
    edit_params("catalog: sample", "catalog: earth-search")
    edit_params("https://earth-search.aws.element84.com/v1", "http://127.0.0.1:9")
    done = run_stage("scenes", sensor="sentinel-2")
    assert done.returncode == 1
    assert "http://127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr


def test_no_scene_is_an_error_that_names_the_condition_that_emptied_the_search(
    run_stage: Run, edit_params: Edit
) -> None:
    edit_params("max_scene_cloud: 90", "max_scene_cloud: 10")
    done = run_stage("scenes", sensor="landsat")
    assert done.returncode == 1
    assert "none with at most 10.0 % cloud (the clearest has 31.868 %)" in done.stderr


def test_a_typo_in_the_parameters_is_named_with_its_path_and_what_is_allowed(run_stage: Run, edit_params: Edit) -> None:
    edit_params("  max_cloud: 0.10", "  max_clod: 0.10")
    done = run_stage("check")
    assert done.returncode == 2
    assert "'select.max_clod' is not a parameter; did you mean 'max_cloud'?" in done.stderr
    assert "min_labels" in done.stderr


def test_a_value_out_of_bounds_is_named_with_its_path_and_bound(run_stage: Run, edit_params: Edit) -> None:
    edit_params("  max_cloud: 0.10", "  max_cloud: 10")
    done = run_stage("check")
    assert done.returncode == 2
    assert "'select.max_cloud' is 10: input should be less than or equal to 1" in done.stderr


@pytest.mark.usefixtures("brandenburg")
def test_a_scene_without_its_mask_is_quarantined_and_the_others_go_on(run_stage: Run, workspace: Path) -> None:
    item = workspace / f"samples/catalog/items/sentinel-2-l2a/{PATCH}.json"
    document = json.loads(item.read_text())
    del document["assets"]["scl"]
    item.write_text(json.dumps(document))
    _scan(run_stage)
    rows = pl.read_parquet("data/scan/sentinel-2/*/quarantine.parquet")
    assert set(rows["item_id"]) == {PATCH} and set(rows["reason"]) == {"missing-asset"}
    kept = pl.read_parquet("data/scan/sentinel-2/*/windows.parquet")
    assert SCENE in set(kept["item_id"])


@pytest.mark.usefixtures("brandenburg")
def test_a_scene_of_level_1c_without_a_mask_gets_a_learned_one_that_says_so(run_stage: Run, workspace: Path) -> None:
    item = workspace / f"samples/catalog/items/sentinel-2-l1c/{SCENE}.json"
    document = json.loads(item.read_text())
    del document["assets"]["scl"]
    item.write_text(json.dumps(document))
    _scan(run_stage)
    windows = pl.read_parquet("data/scan/sentinel-2/*/windows.parquet").filter(item_id=SCENE)
    assert set(windows["mask_provenance"]) == {"s2cloudless (derived)"}
    measured = windows.filter(pl.col("nodata_fraction") < 0.05)
    assert 0.02 < measured["cloud_fraction"].mean() < 0.3
    assert measured["snow_fraction"].null_count() == measured.height, "the model knows cloud alone"


@pytest.mark.usefixtures("brandenburg")
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[:2000], "unreadable"),
        (lambda _: b"<html>504 Gateway Timeout</html>", "not-a-raster"),
    ],
    ids=["truncated", "not a TIFF"],
)
def test_a_damaged_mask_is_quarantined_with_its_reason(
    run_stage: Run, workspace: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    mask = _asset(workspace, "scl")
    _replace(mask, damage(mask.read_bytes()))
    _scan(run_stage)
    rows = pl.read_parquet("data/scan/sentinel-2/*/quarantine.parquet")
    assert set(rows["item_id"]) == {SCENE} and set(rows["reason"]) == {reason}


@pytest.mark.usefixtures("brandenburg")
def test_a_scene_without_a_coordinate_system_is_quarantined(run_stage: Run, workspace: Path) -> None:
    mask = _asset(workspace, "scl")
    with rasterio.open(mask) as source:
        pixels = source.read(1)
    mask.unlink()
    with rasterio.open(
        mask, "w", driver="GTiff", width=pixels.shape[1], height=pixels.shape[0], count=1, dtype="uint8"
    ) as out:
        out.write(pixels, 1)
    _scan(run_stage)
    rows = pl.read_parquet("data/scan/sentinel-2/*/quarantine.parquet")
    assert set(rows["reason"]) == {"no-crs"}


@pytest.fixture(scope="module")
def through_select(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of that place in which the stages before `chips` have run; not to be changed."""
    folder = tmp_path_factory.mktemp("selected")
    fill_workspace(folder)
    _ask_for_one_place(partial(edit_params_of, folder))
    run = partial(stage_in, folder)
    _scan(run)
    for stage, options in (("labels", {"part": "a"}), ("labels", {"part": "b"}), ("select", {})):
        done = run(stage, sensor="sentinel-2", **options)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def selected(through_select: Path, workspace: Path, brandenburg: None) -> Path:
    """A workspace of its own, with what those stages have made."""
    for name in ("data", ".earthloom"):
        shutil.copytree(through_select / name, workspace / name)
    return workspace


@pytest.mark.usefixtures("selected")
def test_a_band_cut_short_costs_its_own_scene_only(run_stage: Run, workspace: Path) -> None:
    band = _asset(workspace, "nir")
    _replace(band, band.read_bytes()[:20_000])
    for part in ("a", "b"):
        done = run_stage("chips", sensor="sentinel-2", part=part)
        assert done.returncode in (0, 1), done.stderr
    lost = pl.read_parquet("data/chips/sentinel-2/*/quarantine.parquet")
    assert set(lost["item_id"]) == {SCENE} and set(lost["reason"]) == {"unreadable"}


@pytest.mark.slow
@pytest.mark.usefixtures("selected")
def test_a_killed_run_goes_on_from_what_it_had_finished_and_ends_with_the_same_bytes(
    run_stage: Run, workspace: Path
) -> None:
    part = max("ab", key=lambda name: _chips_of(run_stage, workspace, name))
    folder = workspace / f"data/chips/sentinel-2/{part}"
    undisturbed = {shard.name: shard.read_bytes() for shard in folder.glob("shard-*.parquet")}
    for made in _results(workspace):
        shutil.rmtree(made)
    command = [sys.executable, "-m", "tasks.chips", "--sensor", "sentinel-2", "--part", part]
    process = subprocess.Popen(command, cwd=workspace, env={**os.environ, "PYTHONPATH": str(ROOT)})
    while not _results(workspace) and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in _results(workspace)}
    assert finished, "the run ended before it was killed"
    for half in (workspace / ".earthloom/results").glob(".partial-*"):
        assert not (half / "entry.json").exists(), "what was half-written counts"
    done = run_stage("chips", sensor="sentinel-2", part=part)
    assert done.returncode == 0, done.stderr
    assert {shard.name: shard.read_bytes() for shard in folder.glob("shard-*.parquet")} == undisturbed
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, "a scene was read twice"


def _results(workspace: Path) -> list[Path]:
    """What is kept of the chips of single scenes."""
    return [path.parent for path in (workspace / ".earthloom/results").glob("??/*/chips.arrow")]


def _chips_of(run_stage: Run, workspace: Path, part: str) -> int:
    done = run_stage("chips", sensor="sentinel-2", part=part)
    assert done.returncode == 0, done.stderr
    return int(json.loads((workspace / f"data/summary/chips@sentinel-2-{part}.json").read_text())["chips"])


@pytest.mark.usefixtures("selected")
def test_a_full_disk_is_one_clear_error_and_what_was_finished_stays(workspace: Path) -> None:
    finished = {path: path.read_bytes() for path in (workspace / "data").rglob("*.parquet")}
    # A limit on the size of files is the disk's refusal that a test may cause: EFBIG instead of ENOSPC.
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048));"
        "sys.argv = ['select', '--sensor', 'sentinel-2'];"
        "runpy.run_module('tasks.select', run_name='__main__')"
    )
    full = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 1, full.stderr
    assert "no space left to write" in full.stderr and "Traceback" not in full.stderr
    assert {path: path.read_bytes() for path in (workspace / "data").rglob("*.parquet")} == finished
