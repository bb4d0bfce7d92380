"""One scene, once as files and once from Sentinel Hub: the same windows, the same fractions, the same chips."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pystac
import pytest
import yaml
from shapely import box

from tasks import chips, labels, scan, scenes, select
from tasks.core import tables
from tasks.earth import geotiff
from tasks.earth.areas import Areas
from tasks.earth.blocks import blocks_of
from tasks.earth.catalog import Catalog, Query, open_catalog
from tasks.earth.grid import GridParams
from tasks.earth.probe import probe
from tasks.earth.scene_chips import scene_chips
from tasks.earth.sensors import SENSORS, Sensor
from tasks.earth.sentinel_hub.collections import collections
from tests.fixtures.sentinel_hub_server import CLIENT_ID, CLIENT_SECRET, TOKEN, Raster, Scene, Service

GRID = GridParams(cell=640, parts=["a"])
HUB = {"sentinel-2-l2a": "sentinel-2-l2a", "landsat-8-l1": "landsat-ot-l2", "sentinel-1-gamma0": "sentinel-1-grd"}
"""Collection of the sample -> the collection of Sentinel Hub in whose shape its scenes are offered."""
NAMED = ["chip_id", "window_id", "item_id", "datetime", "epsg", "column", "row"]


@pytest.fixture
def sample(workspace: Path) -> Iterator[Catalog]:
    with open_catalog(search=True) as catalog:
        yield catalog


@pytest.fixture
def hub(workspace: Path, sample: Catalog, service: Service) -> Iterator[Catalog]:
    """The catalog that params.yaml chooses after the sample was opened."""
    values = yaml.safe_load(Path("params.yaml").read_text())
    preset = values["catalogs"]["sentinel-hub"] | {"url": service.url, "token_url": f"{service.url}/token"}
    own = {"deployments": {}, "requests_per_second": 100, "area": None}
    values["catalogs"]["sentinel-hub"] = preset | own
    Path("params.yaml").write_text(yaml.safe_dump(values | {"catalog": "sentinel-hub"}))
    service.scenes.clear()
    with open_catalog() as catalog:
        yield catalog


def offered(item: pystac.Item, collection: str) -> Scene:
    """A scene of the sample as Sentinel Hub would have it: the same files, the service's names."""
    bands = {}
    for key, plane in collections()[collection].planes.items():
        if key in item.assets:
            asset = item.assets[key]
            described = asset.extra_fields["raster:bands"][0]
            path = Path("samples") / asset.href.removeprefix("embedded:")
            scale, offset = described.get("scale", 1.0), described.get("offset", 0.0)
            bands[plane.band] = Raster(path, scale, offset, plane.codes, described.get("unit") == "dB")
    feature = item.to_dict() | {"assets": {}, "collection": collection}
    feature["properties"] |= {"sar:instrument_mode": "IW", "s1:polarization": "DV", "s1:resolution": "HIGH"}
    return Scene(feature, bands)


def offer(service: Service, sample: Catalog, collection: str, pattern: str) -> pystac.Item:
    """Offer the one scene of the sample with such a name."""
    (item,) = [one for one in sample.search(Query(collection, None, None, None), 100) if re.match(pattern, one.id)]
    service.scenes[HUB[collection]].append(offered(item, HUB[collection]))
    return item


def windows_of(items: Sequence[pystac.Item], sensor: Sensor, catalog: Catalog) -> pl.DataFrame:
    params, everywhere = scan.ScanParams(land_mask_samples=4), Areas({"all": np.array([box(-180, -90, 180, 90)])})
    table, quarantine, _ = scan.scan(items, {}, everywhere, sensor, catalog, GRID, params, Path("work"))
    assert quarantine == []
    return pl.DataFrame(table)


@pytest.mark.parametrize(
    ("sensor", "collection", "pattern"),
    [
        ("sentinel-2", "sentinel-2-l2a", "S2A_MSIL2A_20170617T113321_4_55"),
        ("landsat", "landsat-8-l1", "LC8"),
        ("sentinel-1", "sentinel-1-gamma0", "S1A_IW_GRDH.*4_55"),
    ],
)
def test_stages_give_the_same_windows_and_chips_from_files_and_from_sentinel_hub(
    sensor: str, collection: str, pattern: str, sample: Catalog, hub: Catalog, service: Service
) -> None:
    item = offer(service, sample, collection, pattern)
    (computed,) = hub.search(Query(HUB[collection], item.bbox, None, None), 10)
    known = SENSORS[sensor]
    ours, theirs = windows_of([item], known, sample), windows_of([computed], known, hub)
    assert ours.height == theirs.height > 3
    assert ours.select(NAMED).equals(theirs.select(NAMED))
    fractions = [name for name in ours.columns if name.endswith("_fraction")]
    for name in fractions:
        a, b = ours[name].fill_null(-1).to_numpy(), theirs[name].fill_null(-1).to_numpy()
        # A code on the border of two pixels may fall to either.
        assert np.abs(a - b).max() < 0.02, name
    _, members = next(blocks_of(ours.filter(pl.col("nodata_fraction") < 0.5), known.window_cells, GRID.cell))
    sides = []
    for scene, table, catalog in ((item, ours, sample), (computed, theirs, hub)):
        windows = table.filter(pl.col("chip_id").is_in(members["chip_id"].to_list()))
        rows = []
        for found in scene_chips(scene, windows, known, catalog, GRID.cell, None, GRID.max_gsd_ratio):
            assert isinstance(found, pa.RecordBatch)
            rows += found.to_pylist()
        pixels = np.stack([geotiff.decode(row["pixels"]).pixels for row in sorted(rows, key=lambda r: r["chip_id"])])
        sides.append(dict(zip(rows[0]["bands"], pixels.swapaxes(0, 1), strict=True)))
    shared = [name for name in sides[0] if name in sides[1]]
    assert len(shared) == (len(sides[0]) if sensor != "landsat" else len(sides[0]) - 1)  # no cirrus in Level-2
    for name in shared:
        first, second = sides[0][name], sides[1][name]
        both = np.isfinite(first) & np.isfinite(second)
        assert both.sum() > 0.98 * np.isfinite(first).sum() > 0, name
        assert np.abs(first - second)[both].max() < (3e-5 if known.unit == "reflectance" else 1e-3), name


def test_stages_from_the_search_to_the_chips_run_on_sentinel_hub_and_keep_no_address_or_secret(
    sample: Catalog, hub: Catalog, service: Service
) -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["select"] |= {"min_labels": 1, "max_nodata": 0.9}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    item = offer(service, sample, "sentinel-2-l2a", "S2A_MSIL2A_20170613T101031_87_48")
    assert scenes.run("sentinel-2")["collections"] == {"sentinel-2-l2a": 1}
    recorded = Path("data/scenes/sentinel-2/items.parquet").read_bytes()
    windows = [scan.run("sentinel-2", part)["candidates"] for part in "ab"]
    assert sum(labels.run("sentinel-2", part)["labelled"] for part in "ab") == sum(windows) > 3
    kept = select.run("sentinel-2")["kept"]
    made = [chips.run("sentinel-2", part)["chips"] for part in "ab"]
    assert sum(made) == kept > 3
    part = "ab"[made.index(max(made))]
    chip = tables.read_shards(Path("data/chips/sentinel-2") / part, ["item_id", "bands", "unit"]).to_pylist()[0]
    assert chip["item_id"] == item.id and len(chip["bands"]) == 12 and chip["unit"] == "reflectance"
    scenes.run("sentinel-2")
    assert Path("data/scenes/sentinel-2/items.parquet").read_bytes() == recorded
    written = b"".join(path.read_bytes() for path in Path("data").rglob("*") if path.is_file())
    for secret in (CLIENT_ID, CLIENT_SECRET, TOKEN, service.url.removeprefix("http://")):
        assert secret.encode() not in written


def test_what_was_computed_is_not_asked_for_again_by_a_run_that_goes_on(hub: Catalog) -> None:
    assert hub.version("sentinelhub:sentinel-2-l2a#B04") == "sentinelhub:sentinel-2-l2a#B04"


def test_a_probe_has_a_few_pixels_computed(sample: Catalog, hub: Catalog, service: Service) -> None:
    item = offer(service, sample, "sentinel-2-l2a", "S2A_MSIL2A_20170613T101031_87_48")
    (finding,) = probe(hub, SENSORS["sentinel-2"], "2017")
    assert finding.works and finding.items == "1" and finding.credentials == "an account; credentials are there"
    assert finding.file == f"scl of {item.id}: computed, 100% of 256 pixels in its middle have data"
    assert len(service.asked("process")) == 1
