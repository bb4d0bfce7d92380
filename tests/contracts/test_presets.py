"""Each pair of preset and sensor in params.yaml: items as that catalog publishes them, from search to open files."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pystac
import pytest
import yaml

from tasks.earth import geotiff, lonlat_shapes
from tasks.earth.areas import Areas
from tasks.earth.assets import find_mask, required_bands, resolve
from tasks.earth.catalog import Catalog, CatalogParams, Query
from tasks.earth.grid import GridParams
from tasks.earth.items import read_items, write_items
from tasks.earth.probe import probe
from tasks.earth.raster import open_asset
from tasks.earth.scene import open_scene
from tasks.earth.scene_chips import scene_chips
from tasks.earth.scene_windows import ScanParams, scan_scene
from tasks.earth.sensors import SENSORS
from tests.conftest import ROOT
from tests.fixtures.published_catalogs import EPSG, LAYOUTS, LEFT, SIDE, Layout, Published, published, truth

PRESETS = yaml.safe_load((ROOT / "params.yaml").read_text())["catalogs"]
AREA = [14.9, 52.5, 15.1, 52.6]
REMOTE = {name: p for name, p in PRESETS.items() if p["sign"] != "embedded" and p.get("source", "stac") == "stac"}
"""Those that Sentinel Hub computes have tests of their own."""
OFFERED = {(name, s) for name, preset in REMOTE.items() for s, found in preset["collections"].items() if found}


def test_every_pair_that_a_preset_offers_has_its_published_layout_here() -> None:
    assert {(layout.preset, layout.sensor) for layout in LAYOUTS} == OFFERED
    for layout in LAYOUTS:
        assert layout.collection in REMOTE[layout.preset]["collections"][layout.sensor]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Credentials as a reader has them, and stores without TLS."""
    for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "HTTPS": "NO"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield monkeypatch


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_published_item_is_found_frozen_and_its_files_open(
    layout: Layout, account: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sensor = SENSORS[layout.sensor]
    with published(layout, REMOTE[layout.preset]) as running:
        query = Query(layout.collection, AREA, "2023-06", 10)
        found = running.catalog.find(query, 5)
        assert [one.id for one in found.items] == [layout.item_id] and found.refused == []
        write_items(found.items, tmp_path / "items.parquet")
        item = read_items(tmp_path / "items.parquet")[0]
        assets = resolve(item, sensor)
        assert set(required_bands(item, sensor, list(assets))) <= set(assets)
        for asset in [*assets.values(), *filter(None, [find_mask(item, sensor)])]:
            with open_asset(asset, running.catalog) as opened:
                assert opened.dataset.crs.to_epsg() == EPSG and opened.dataset.width * opened.dataset.res[0] == SIDE
            assert running.catalog.version(asset.href, running.catalog.store(asset))
        if layout.root.startswith("s3") or layout.alternate:
            assert asset.href.startswith("s3://")
        looked = next(probe(running.catalog, sensor, "2023-06"))
        assert looked.collection == layout.collection and looked.sensor == sensor.name


def scanned(layout: Layout, running: Published) -> tuple[pystac.Item, pl.DataFrame]:
    """The item as it is found, and the windows of it that have data everywhere."""
    found = running.catalog.find(Query(layout.collection, AREA, "2023-06", 10), 5).items
    grid = GridParams(cell=640, parts=["a"])
    params = ScanParams(land_mask_samples=2)
    areas = Areas({"here": np.array([lonlat_shapes.of_bounds(*AREA)], dtype=object)})
    scene = open_scene(found[0], found[0].id, SENSORS[layout.sensor], running.catalog, grid.max_gsd_ratio)
    whole = pl.DataFrame(scan_scene(scene, areas, grid, params)).filter(pl.col("nodata_fraction") < 0.05)
    return found[0], whole.sort("row", "column")


def chips(layout: Layout, running: Published) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    """Windows, and the pixels of each band [windows, side, side]."""
    sensor = SENSORS[layout.sensor]
    item, windows = scanned(layout, running)
    found = list(scene_chips(item, windows, sensor, running.catalog, 640, None, 2.1))
    rows = [row for some in found if isinstance(some, pa.RecordBatch) for row in some.to_pylist()]
    assert len(rows) == windows.height
    stack = np.stack([geotiff.decode(row["pixels"]).pixels for row in rows])
    order = pl.DataFrame({"chip_id": [row["chip_id"] for row in rows]})
    windows = order.join(windows, on="chip_id", how="left", maintain_order="left")
    return windows, {name: stack[:, index] for index, name in enumerate(rows[0]["bands"])}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_published_scene_becomes_chips_of_its_true_values_in_the_right_place(layout: Layout) -> None:
    sensor = SENSORS[layout.sensor]
    with published(layout, REMOTE[layout.preset]) as running:
        windows, bands = chips(layout, running)
    assert windows.height >= 2
    side = sensor.window_cells * 640
    west = (windows["right"] <= LEFT + SIDE / 2).to_numpy()
    east = (windows["left"] >= LEFT + SIDE / 2).to_numpy()
    assert west.any() and east.any() and (windows["right"] - windows["left"] == side).all()
    for name, pixels in bands.items():
        for half, value in zip((west, east), truth(sensor, name), strict=True):
            wanted = 10 * np.log10(value) if sensor.unit == "dB" else value
            # Half a count of reflectance; of radar what a whole count is in dB.
            inner = pixels[half][:, 4:-4, 4:-4]  # Landsat's grid is half a pixel off: its edge lies within a window
            assert np.abs(inner - wanted).max() <= (0.05 if sensor.unit == "dB" else 0.5 * 1e-4)
    if sensor.mask == "scl":
        assert windows["radiometry"].str.contains("by pixels").all()


@pytest.mark.usefixtures("account")
def test_one_scene_through_three_catalogs_is_the_same_chips() -> None:
    seen = []
    for layout in (one for one in LAYOUTS if one.sensor == "sentinel-2"):
        with published(layout, REMOTE[layout.preset]) as running:
            windows, bands = chips(layout, running)
            measured = windows.select("window_id", "nodata_fraction", "cloud_fraction", "land_fraction", "acquisition")
            seen.append((measured, bands, set(windows["radiometry"])))
    assert len(seen) == 3 and len({*map(str, (verdict for _, _, verdict in seen))}) > 1, "their numbers differ by 1000"
    for measured, bands, _ in seen[1:]:
        assert measured.equals(seen[0][0])
        assert max(np.nanmax(np.abs(bands[name] - plane)) for name, plane in seen[0][1].items()) <= 0.5e-4


def test_a_probe_counts_says_who_pays_and_reads_a_head(account: pytest.MonkeyPatch) -> None:
    layout = next(one for one in LAYOUTS if one.preset == "earth-search" and one.sensor == "landsat")
    preset = {**REMOTE["earth-search"], "area": AREA}
    with published(layout, preset) as running:
        found = list(probe(running.catalog, SENSORS["landsat"], "2023-06"))
        assert [(one.items, one.works) for one in found] == [("1", True)]
        assert found[0].credentials == "the reader pays; credentials are there"
        assert found[0].file == f"qa_pixel of {layout.item_id}: TIFF"
        account.delenv("AWS_ACCESS_KEY_ID")
        account.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        account.delenv("AWS_PROFILE", raising=False)
        poor = next(probe(running.catalog, SENSORS["landsat"], "2023-06"))
        assert not poor.works and "missing: set AWS_ACCESS_KEY_ID" in poor.credentials


def test_a_preset_s_own_area_is_small_enough_to_try() -> None:
    for name, preset in REMOTE.items():
        west, south, east, north = preset["area"]
        assert 0 < (east - west) <= 0.2 and 0 < north - south <= 0.2, name


PUBLISHED = sorted((ROOT.parent / "shared" / "stac").rglob("*.json"))
WHOSE = {"earth-search": "earth-search", "planetary-computer": "planetary-computer", "odc-stac": "usgs"}


@pytest.mark.skipif(not PUBLISHED, reason="no published items beside this checkout")
def test_the_files_of_really_published_items_lie_on_the_hosts_that_their_preset_names() -> None:
    checked = set()
    for path in PUBLISHED:
        document = json.loads(path.read_text())
        folder = path.relative_to(ROOT.parent / "shared" / "stac").parts[0]
        preset = REMOTE.get(WHOSE.get(folder, ""))
        if preset is None or not isinstance(document, dict) or document.get("type") != "Feature":
            continue
        sensors = [name for name, found in preset["collections"].items() if document["collection"] in found]
        catalog = Catalog(WHOSE[folder], CatalogParams.model_validate(preset))
        for sensor in sensors:
            aliases = {alias for band in SENSORS[sensor].bands for alias in band.aliases}
            for key, asset in document["assets"].items():
                if key in {*aliases, *SENSORS[sensor].mask_aliases}:
                    href = catalog._recorded_href(asset, "https://unused.example/x.json")
                    assert catalog.hosts.check(href) == href
                    checked.add((WHOSE[folder], sensor))
    assert {("earth-search", "sentinel-2"), ("planetary-computer", "sentinel-2"), ("usgs", "landsat")} <= checked
