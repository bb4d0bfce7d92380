"""The data stages on scenes as public catalogs really publish them; skipped where those are not at hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import ROOT, Run

SCENES = ROOT.parent / "shared/scenes"
pytestmark = pytest.mark.skipif(not SCENES.is_dir(), reason="the shared scenes are not beside this checkout")
CASES = {"sentinel-2": ("sentinel-2-l2a", 4.05), "landsat": ("landsat-c2-l2", 99.9)}


@pytest.fixture
def publish(workspace: Path, edit_params: Callable[[str, str], None]) -> Callable[[str], None]:
    """Serve one shared scene instead of the samples."""

    def put(collection: str) -> None:
        shutil.rmtree(workspace / "samples")
        source = next((SCENES / collection).iterdir())
        item = json.loads(next(source.glob("*.json")).read_text())
        assets = workspace / "samples/assets"
        shutil.copytree(source, assets)
        for asset in item["assets"].values():
            asset["href"] = "assets/" + asset["href"].rsplit("/", 1)[-1]
        item["collection"] = collection
        items = workspace / f"samples/catalog/items/{collection}"
        items.mkdir(parents=True)
        (items / f"{item['id']}.json").write_text(json.dumps(item))
        folder = workspace / "samples/catalog/collections"
        folder.mkdir(parents=True)
        example = json.loads((ROOT / "samples/catalog/collections/sentinel-2-l1c.json").read_text())
        (folder / f"{collection}.json").write_text(json.dumps({**example, "id": collection, "assets": {}}))
        edit_params("sentinel-2: [sentinel-2-l1c, sentinel-2-l2a]", "sentinel-2: [sentinel-2-l2a]")
        edit_params("landsat: [landsat-8-l1]", "landsat: [landsat-c2-l2]")
        edit_params("labels: [osm-landuse, corine-bigearthnet, hansen-gfc]", "labels: []")
        edit_params("areas:\n", "areas:\n  world: [-180, -90, 180, 90]\n")
        edit_params("max_scene_cloud: 90", "max_scene_cloud: 100")

    return put


@pytest.mark.parametrize("sensor", CASES)
def test_the_cloud_measured_in_windows_agrees_with_what_the_item_says_of_its_scene(
    sensor: str, publish: Callable[[str], None], run_stage: Run
) -> None:
    collection, percent = CASES[sensor]
    publish(collection)
    for stage, options in (("scenes", {}), ("scan", {"part": "a"}), ("scan", {"part": "b"})):
        done = run_stage(stage, sensor=sensor, **options)
        assert done.returncode == 0, done.stderr
    windows = pl.read_parquet("data/scan/*/*/windows.parquet").drop_nulls("cloud_fraction")
    weight = 1 - windows["nodata_fraction"]
    assert windows.height > 5000
    assert 100 * (windows["cloud_fraction"] * weight).sum() / weight.sum() == pytest.approx(percent, abs=1.0)
