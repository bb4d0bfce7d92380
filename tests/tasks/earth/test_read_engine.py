"""Each block of a scene's files is fetched and decoded once, whatever the grid, and the pixels are the files' own."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pystac
import pytest
import rasterio
from shapely import box

from benchmarks.made_scene import BANDS, EPSG, LEFT, TOP, make
from tasks.core.errors import SceneError
from tasks.earth import geotiff
from tasks.earth.areas import Areas
from tasks.earth.blocks import LARGEST_BLOCK, Lie, blocks
from tasks.earth.catalog import Catalog
from tasks.earth.grid import GridParams, window_grid
from tasks.earth.label_params import LabelsParams
from tasks.earth.scene import open_scene
from tasks.earth.scene_chips import Lost, scene_chips
from tasks.earth.scene_labels import label_scene
from tasks.earth.scene_windows import ScanParams, scan_scene
from tasks.earth.sensors import SENSORS
from tests.fixtures.one_file_scenes import served
from tests.fixtures.stac_server import Served

METRES = 15_360
SENSOR = SENSORS["sentinel-2"]
EVERYWHERE = Areas({"all": np.array([box(-180, -90, 180, 90)])})
SCAN = ScanParams.model_validate({"land_mask_samples": 1})
Blocks = dict[tuple[int, int], tuple[int, int]]
"""(row, column) of a block -> offset and count of its bytes in the file."""


@dataclass(frozen=True)
class Made:
    """A scene of 12 bands and a mask, six rows of six blocks at 10 m, and where its blocks lie in its files."""

    folder: Path
    item: pystac.Item

    def files(self) -> dict[str, bytes]:
        return {name: (self.folder / f"{name}.tif").read_bytes() for name in self.item.assets}

    def blocks(self, name: str) -> Blocks:
        with rasterio.open(self.folder / f"{name}.tif") as dataset:
            return {
                place: tuple(  # type: ignore[misc]
                    int(dataset.get_tag_item(f"BLOCK_{what}_{place[1]}_{place[0]}", "TIFF", bidx=1))
                    for what in ("OFFSET", "SIZE")
                )
                for place, _ in dataset.block_windows(1)
            }

    def pixels(self, name: str) -> np.ndarray:
        with rasterio.open(self.folder / f"{name}.tif") as dataset:
            return np.asarray(dataset.read(1))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("scene")
    return Made(folder, make(folder, METRES, 256))


@contextmanager
def on_server(made: Made, files: Mapping[str, bytes] | None = None) -> Iterator[tuple[pystac.Item, Catalog, Served]]:
    document = made.item.to_dict(transform_hrefs=False)
    for name, asset in document["assets"].items():
        asset["href"] = f"{made.item.id}/{name}.tif"
    with served(document, files or made.files()) as running:
        yield running


def scanned(item: pystac.Item, catalog: Catalog, cell: int) -> pl.DataFrame:
    grid = GridParams(cell=cell, parts=["a"])
    table = scan_scene(open_scene(item, item.id, SENSOR, catalog), EVERYWHERE, grid, SCAN)
    return pl.DataFrame(table)


def chips(item: pystac.Item, windows: pl.DataFrame, catalog: Catalog, cell: int) -> tuple[list[dict], list[Lost]]:
    found = list(scene_chips(item, windows, SENSOR, catalog, cell, None, 2.1))
    rows = [row for some in found if isinstance(some, pa.RecordBatch) for row in some.to_pylist()]
    return rows, [some for some in found if isinstance(some, Lost)]


def fetched(made: Made, running: Served, since: int) -> dict[str, dict[tuple[int, int], float]]:
    """How many times the bytes of each block of each asset were fetched, of those that were."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for asked in running.asked[since:]:
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", asked.headers.get("Range", ""))
        if span is None:
            continue
        first, last = int(span[1]), int(span[2])
        name = asked.path.rpartition("/")[2].removesuffix(".tif")
        own = found.setdefault(name, {})
        for place, (start, size) in made.blocks(name).items():
            shared = min(last + 1, start + size) - max(first, start)
            if shared > 0:
                own[place] = own.get(place, 0.0) + shared / size
    return found


def wanted(made: Made, row: Mapping[str, object]) -> np.ndarray:
    """A chip's bands as rasterio reads them, in physical units at 10 m, NaN where there is nothing."""
    _, _, left, _, _, top = row["transform"]  # type: ignore[misc]
    side, out = int(str(row["width"])), []
    for name in row["bands"]:  # type: ignore[attr-defined]
        gsd = BANDS[name]
        x, y = ((step + 0.5) * 10 for step in (np.arange(side), np.arange(side)))
        columns, rows = np.floor((left + x - LEFT) / gsd).astype(int), np.floor((TOP - top + y) / gsd).astype(int)
        stored = made.pixels(name)
        inside = np.outer((rows >= 0) & (rows < len(stored)), (columns >= 0) & (columns < len(stored)))
        values = stored[np.ix_(rows.clip(0, len(stored) - 1), columns.clip(0, len(stored) - 1))]
        physical = values.astype(np.float32) * np.float32(1e-4)
        out.append(np.where(inside & (values != 0), physical, np.float32(np.nan)))
    return np.stack(out)


@pytest.mark.parametrize("cell", [640, 1280, 2560])
def test_every_block_of_a_scene_is_fetched_once_by_each_stage_whatever_the_cell(made: Made, cell: int) -> None:
    with on_server(made) as (item, catalog, running):
        windows = scanned(item, catalog, cell)
        stages = [fetched(made, running, 0)]
        since = len(running.asked)
        labels = LabelsParams.model_validate({"sources": {}, "spectral": "always", "min_fraction": 0.02})
        grid = GridParams(cell=cell, parts=["a"])
        assert label_scene(item, windows, [], SENSOR, catalog, labels, grid, None).rows
        stages.append(fetched(made, running, since))
        since = len(running.asked)
        rows, lost = chips(item, windows, catalog, cell)
        stages.append(fetched(made, running, since))
        requests = len(running.asked) - since
    assert not lost and len(rows) == windows.height
    assert set(stages[1]) == {"B03", "B04", "B08", "B11"}
    assert set().union(*stages) == {*BANDS, "SCL"}  # B01 was read as a whole to decide on the offset
    for name, own in ((name, own) for stage in stages for name, own in stage.items()):
        assert max(own.values(), default=0) <= 1.001, name
    assert requests <= len(BANDS) * 9, "three to open a file, and one for each of at most six rows of blocks"
    row = next(row for row in rows if row["nodata_fraction"] > 0)
    for one in (row, rows[len(rows) // 2]):
        assert np.array_equal(geotiff.decode(one["pixels"]).pixels, wanted(made, one), equal_nan=True)
        assert one["nodata_fraction"] == round(float(np.isnan(wanted(made, one)).any(axis=0).mean()), 6)


def test_only_blocks_under_selected_windows_are_read(made: Made) -> None:
    with on_server(made) as (item, catalog, running):
        windows = scanned(item, catalog, 640)
        columns, rows = windows["column"], windows["row"]
        chosen = ((columns == columns.min() + 2) | (columns == columns.max() - 2)) & (rows == rows.max() - 9)
        since = len(running.asked)
        found, _ = chips(item, windows.filter(chosen), catalog, 640)
        assert len(found) == 2
        for name, own in fetched(made, running, since).items():
            side = (256 if BANDS[name] == 10 else 128) * BANDS[name]
            touched = {
                (int((TOP - y) // side), int((x - LEFT) // side))
                for row in found
                for x in np.arange(row["transform"][2] + 5, row["transform"][2] + 640, 10)
                for y in np.arange(row["transform"][5] - 635, row["transform"][5], 10)
            }
            if BANDS[name] == 10:  # blocks of coarse bands here are no larger than what a file is read in
                assert {place for place, times in own.items() if times > 0.9} == touched, name


def test_a_damaged_block_costs_the_windows_that_need_it_and_no_others(made: Made) -> None:
    files = made.files()
    start, size = made.blocks("B05")[2, 3]
    content = bytearray(files["B05"])
    content[start : start + size] = bytes(size)
    left, top, side = LEFT + 3 * 2560, TOP - 2 * 2560, 2560
    with on_server(made, files | {"B05": bytes(content)}) as (item, catalog, _):
        windows = scanned(item, catalog, 640)
        rows, lost = chips(item, windows, catalog, 640)
    under = windows.filter(
        (pl.col("right") > left)
        & (pl.col("left") < left + side)
        & (pl.col("top") > top - side)
        & (pl.col("bottom") < top)
    )
    (one,) = lost
    assert one.error.reason == "unreadable" and "B05" in str(one.error)
    assert set(one.windows["chip_id"]) == set(under["chip_id"])
    assert {row["chip_id"] for row in rows} == set(windows["chip_id"]) - set(under["chip_id"])


def test_a_file_that_cannot_be_opened_costs_its_scene(made: Made) -> None:
    with on_server(made, made.files() | {"B11": b"<html>none</html>"}) as (item, catalog, _):
        windows = scanned(item, catalog, 640)
        rows, lost = chips(item, windows, catalog, 640)
    assert not rows and [one.windows.height for one in lost] == [windows.height]
    assert isinstance(lost[0].error, SceneError) and lost[0].error.reason == "not-a-raster"


@pytest.mark.parametrize("lie", [Lie(), Lie(True, 10_240.0), Lie(True, 10_240.0, tall=True)])
@pytest.mark.parametrize(("cell", "gsd", "bands"), [(640, 10, 12), (2560, 10, 13), (640, 0.5, 4), (640, 30, 224)])
def test_what_is_read_together_is_bounded_and_every_window_is_read_once(
    lie: Lie, cell: int, gsd: float, bands: int
) -> None:
    grid = window_grid(EPSG, cell, 1)
    columns, rows = (axis.ravel() for axis in np.meshgrid(np.arange(800, 840), np.arange(9000, 9040)))
    seen = []
    for block in blocks(grid, columns, rows, 1, gsd, bands, lie):
        target = block.target(gsd)
        assert target.width * target.height * bands <= max(LARGEST_BLOCK, grid.pixels(gsd) ** 2 * bands)
        seen += list(zip(block.columns.tolist(), block.rows.tolist(), strict=True))
    assert sorted(seen) == sorted(zip(columns.tolist(), rows.tolist(), strict=True))
