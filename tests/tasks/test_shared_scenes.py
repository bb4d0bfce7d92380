"""The data stages on scenes as public catalogs really publish them; skipped where those are not at hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rasterio.enums import Resampling
from rasterio.warp import reproject

from tasks.earth.assets import Asset
from tasks.earth.raster import TargetGrid, read_onto
from tests.conftest import ROOT, Run
from tests.fixtures.rasters import opened

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
        # They are published decimated, at a tenth of their resolution and less: refused, unless it is asked for.
        edit_params("  parts: [a, b]", "  parts: [a]\n  max_gsd_ratio: 25")

    return put


@pytest.mark.parametrize("sensor", CASES)
def test_the_cloud_measured_in_windows_agrees_with_what_the_item_says_of_its_scene(
    sensor: str, publish: Callable[[str], None], run_stage: Run
) -> None:
    collection, percent = CASES[sensor]
    publish(collection)
    for stage, options in (("scenes", {}), ("scan", {"part": "a"})):
        done = run_stage(stage, sensor=sensor, **options)
        assert done.returncode == 0, done.stderr
    windows = pl.read_parquet("data/scan/*/*/windows.parquet").drop_nulls("cloud_fraction")
    weight = 1 - windows["nodata_fraction"]
    assert windows.height > 5000
    if sensor == "sentinel-2":
        # Bright desert, and not in doubt for it: what is dark in it tells, and its metadata agree.
        assert set(windows["radiometry"]) == {"offset applied, by pixels"} and set(windows["offset"]) == {0.0}
    assert 100 * (windows["cloud_fraction"] * weight).sum() / weight.sum() == pytest.approx(percent, abs=1.0)


def test_a_decimated_scene_is_refused_by_name_where_nobody_asked_for_it(
    publish: Callable[[str], None], run_stage: Run, edit_params: Callable[[str, str], None]
) -> None:
    publish("landsat-c2-l2")
    edit_params("  max_gsd_ratio: 25", "  max_gsd_ratio: 2.1")
    assert run_stage("scenes", sensor="landsat").returncode == 0
    assert run_stage("scan", sensor="landsat", part="a").returncode == 0, "a part alone may be empty"
    done = run_stage("select", sensor="landsat")
    assert done.returncode == 1 and "grid.max_gsd_ratio" in done.stderr
    (row,) = pl.read_parquet("data/scan/landsat/a/quarantine.parquet").to_dicts()
    assert row["reason"] == "gsd" and "m wide" in row["detail"] and "no more than 63 m" in row["detail"]


def test_a_radar_scene_with_control_points_lies_where_they_put_it() -> None:
    with opened(next((SCENES / "sentinel-1-grd").glob("*/iw-vv.tiff")), Asset("S", "vv", "", fill=0)) as band:
        assert len(band.place.gcps) == 210
        box = band.place.bounds_in(32643)
        size = 400
        width, height = int((box.right - box.left) / size), int((box.top - box.bottom) / size)
        target = TargetGrid(32643, box.left, box.top, size, width, height)
        values, valid = read_onto(band, target)
        stored = band.dataset.read(1).astype(np.float32)
        points, crs = band.dataset.gcps
    wanted = np.full(valid.shape, np.nan, np.float32)
    reproject(
        stored, wanted, gcps=points, src_crs=crs, dst_crs="EPSG:32643", dst_transform=target.transform,
        src_nodata=0, dst_nodata=np.nan, resampling=Resampling.bilinear, SRC_METHOD="GCP_TPS",
    )  # fmt: skip
    there = np.isfinite(wanted)
    assert (valid == there).mean() > 0.999 and 0.2 < 1 - valid.mean() < 0.35, "a third of the box is no scene"
    both = valid & there
    assert np.corrcoef(np.log(values[both] + 1), np.log(wanted[both] + 1))[0, 1] > 0.97
