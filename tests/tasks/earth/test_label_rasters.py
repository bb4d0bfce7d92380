from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml
from rasterio.transform import from_origin

from tasks.core.errors import SceneError
from tasks.earth.blocks import Block
from tasks.earth.grid import WindowGrid
from tasks.earth.label_dates import Interval, fitting
from tasks.earth.label_rasters import RasterSource, tile_of_file
from tests.conftest import ROOT
from tests.fixtures.label_files import block, classes, degrees, write

TABLE = {"": {"tree cover": (10, 11), "water": (80, 81)}}
TREE, WATER = 10, 80


def source(*tiles, table=TABLE, change=()) -> RasterSource:
    return RasterSource("worldcover", table, change, True, "CC-BY-4.0", tiles)


def measured(found: RasterSource, columns: int = 1, gsd: float = 20):
    return found.measure(*block(columns), gsd=gsd, min_fraction=0.01)


def full(value: int, side: int = 64, dtype=np.uint8) -> np.ndarray:
    return np.full((side, side), value, dtype)


def test_a_seam_of_two_tiles_in_a_window_gives_half_and_half(tmp_path: Path) -> None:
    west = tile_of_file(classes(tmp_path / "w.tif", full(TREE), -320, -100, 640), Interval.of_text("2021"))
    east = tile_of_file(classes(tmp_path / "e.tif", full(WATER), 320, -100, 640), Interval.of_text("2021"))
    north = tile_of_file(classes(tmp_path / "n.tif", full(TREE), -320, 540, 640), Interval.of_text("2021"))
    north_east = tile_of_file(classes(tmp_path / "ne.tif", full(WATER), 320, 540, 640), Interval.of_text("2021"))
    found = measured(source(west, east, north, north_east))
    assert {row["label"]: row["fraction"] for row in found.rows} == {"tree cover": 0.5, "water": 0.5}
    assert {row["date"] for row in found.rows} == {"2021"}
    assert [row["labels"] for row in found.complete] == [None]


def test_a_window_that_a_raster_covers_half_of_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    half = tile_of_file(classes(tmp_path / "half.tif", full(TREE), -320, -100, 640), None)
    more = tile_of_file(classes(tmp_path / "more.tif", full(TREE), -320, 540, 640), None)
    found = measured(source(half, more))
    assert [(row["label"], row["fraction"]) for row in found.rows] == [("tree cover", 0.5)]
    assert found.complete == [], "what lies in the other half is not known"


def test_of_two_years_the_one_that_fits_the_scene_is_read_and_named() -> None:
    place = np.array([shapely.box(14, 52, 15, 53)] * 2)
    years = [Interval.of_text("2020"), Interval.of_text("2021")]
    for when, year in (((2019, 5), 0), ((2020, 12), 0), ((2021, 1), 1), ((2025, 5), 1)):
        assert fitting(place, years, datetime(*when, 9, tzinfo=UTC)) == [year]


def test_a_year_without_a_tile_somewhere_is_filled_from_the_nearest_that_has_one(tmp_path: Path) -> None:
    old = tile_of_file(classes(tmp_path / "old.tif", full(TREE, 128), 0, 0, 1280), Interval.of_text("2020"))
    new = tile_of_file(classes(tmp_path / "new.tif", full(WATER), 0, 0, 640), Interval.of_text("2021"))
    tiles = np.array([old, new], dtype=object)
    order = fitting(np.array([tile.footprint for tile in tiles]), [tile.date for tile in tiles], datetime(2021, 6, 1))
    found = measured(source(*tiles[order]), columns=2)
    assert {(row["label"], row["fraction"], row["date"]) for row in found.rows} == {
        ("water", 1.0, "2021"),
        ("tree cover", 1.0, "2020"),
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_classes_on_another_grid_are_never_interpolated_whatever_their_type(tmp_path: Path, dtype) -> None:
    stripes = np.tile(np.array([[TREE, WATER]], dtype), (200, 100))  # every value between them would be invented
    table = {"": {"tree cover": (10, 11), "water": (80, 81), "invented": (11, 80)}}
    tile = tile_of_file(degrees(tmp_path / "stripes.tif", stripes, -500, -500, 2000, nodata=None), None)
    shares = {row["label"]: row["fraction"] for row in measured(source(tile, table=table), gsd=10).rows}
    assert "invented" not in shares
    assert shares["tree cover"] + shares["water"] == pytest.approx(1)
    assert shares["water"] == pytest.approx(0.5, abs=0.05)


def test_a_damaged_tile_costs_itself_and_the_certainty_of_its_windows(tmp_path: Path) -> None:
    good = tile_of_file(classes(tmp_path / "good.tif", full(TREE), -100, -100, 900), None)
    path = classes(tmp_path / "bad.tif", np.random.default_rng(1).integers(0, 99, (512, 512), np.uint8), 640, -100, 900)
    bad = tile_of_file(path, None)
    path.write_bytes(path.read_bytes()[:9000])
    found = source(good, bad)
    result = measured(found, columns=2)
    assert {row["chip_id"] for row in result.complete} == {block(2)[1][0]}
    assert list(found.failed) == [str(path)]
    assert isinstance(found.failed[str(path)], SceneError)


def test_a_class_of_change_is_marked_as_such(tmp_path: Path) -> None:
    tile = tile_of_file(classes(tmp_path / "a.tif", full(WATER), -100, -100, 900), None)
    rows = measured(source(tile, change=["water"])).rows
    assert [(row["label"], row["kind"]) for row in rows] == [("water", "change")]


@pytest.mark.skipif(not (ROOT.parent / "shared/labels").is_dir(), reason="real tiles are not at hand")
def test_a_real_tile_of_worldcover_gives_shares_that_add_up_to_one() -> None:
    path = next((ROOT.parent / "shared/labels").glob("ESA_WorldCover*N00E006*.tif"))
    sources = yaml.safe_load((ROOT / "params.yaml").read_text())["labels"]["sources"]
    tile = tile_of_file(path, Interval.of_text("2021"))
    # Sao Tome: 6.6 east, 0.25 north.
    grid = WindowGrid(32632, 640)
    columns, rows = np.meshgrid(np.arange(364, 370), np.arange(40, 46))
    land = Block(grid, columns.ravel(), rows.ravel())
    ids = [grid.window_id(c, r) for c, r in zip(land.columns.tolist(), land.rows.tolist(), strict=True)]
    found = source(tile, table={"": sources["esa-worldcover"]["rasters"]["map"]}).measure(land, ids, 20, 0.001)
    totals: dict[str, float] = {}
    for row in found.rows:
        totals[row["chip_id"]] = totals.get(row["chip_id"], 0) + row["fraction"]
    whole = {row["chip_id"] for row in found.complete}
    assert whole
    assert all(0.98 <= totals[chip_id] <= 1.000001 for chip_id in whole)


def test_a_raster_that_lies_nowhere_or_is_none_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "nowhere.tif", full(TREE), from_origin(0, 64, 1, 1), None, None)
    (tmp_path / "text.tif").write_text("<VRTDataset/>")
    for name in ("nowhere.tif", "text.tif", "none.tif"):
        with pytest.raises(SceneError, match=name.replace(".", r"\.")):
            tile_of_file(tmp_path / name, None)
