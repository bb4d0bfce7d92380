import json
import sqlite3
import warnings
from contextlib import closing
from functools import partial
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from tasks.core.errors import VectorFileError
from tasks.earth import label_files
from tasks.earth.blocks import Block
from tasks.earth.grid import WindowGrid
from tasks.earth.label_dates import Interval
from tasks.earth.label_features import Extent, FeatureSource, Sheet
from tasks.earth.label_params import SourceParams
from tasks.earth.label_sources import box_around, windows_of
from tests.fixtures.label_files import BOTTOM, LEFT, SIZE, block, frame, layer, square

FORMATS = ["gpkg", "geojson", "parquet", "fgb"]


def measured(*paths: Path, kind: str = "vector", columns: int = 2, complete: bool = False, **params):
    params = SourceParams(kind=kind, path="inputs/labels/x", complete=complete, **params)
    lost: dict[str, int] = {}
    some, ids = block(columns)
    sheets = []
    for path in paths:
        extents = [Extent(label_files.extent_of(path, params))] if complete else []
        sheets.append(Sheet(str(path), None, partial(label_files.features, path, params, lost=lost), extents))
    box = box_around(windows_of(frame(some, ids)))
    source = FeatureSource("own", kind, params.change, complete, "CC0-1.0", sheets, box)
    return source.measure(some, ids, 20, 0.01), lost


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("epsg", [4326, 32633, 32632, 3857, 3035])
def test_polygons_are_measured_where_they_lie_whatever_the_format_and_system(tmp_path: Path, suffix, epsg) -> None:
    path = layer(tmp_path / f"own.{suffix}", [square(0, 0, 320), square(640, 0, 640)], ["field", "forest"], epsg)
    found, lost = measured(path)
    assert [(row["label"], row["kind"], row["count"]) for row in found.rows] == [
        ("field", "area", 1), ("forest", "area", 1)
    ]  # fmt: skip
    assert [row["fraction"] for row in found.rows] == pytest.approx([0.25, 1.0], abs=1e-3)
    assert [row["position"] for row in found.rows] == ["south-west", "centre"]
    assert not lost


def test_a_long_edge_of_a_projected_polygon_stays_where_it_is(tmp_path: Path) -> None:
    # 200 km wide in degrees: its northern edge is a parallel, straight there and curved in the zone.
    edge = 52.5493
    shape = shapely.box(13.5, 52.0, 16.5, edge)
    path = tmp_path / "wide.gpkg"
    geopandas.GeoDataFrame({"class": ["land"]}, geometry=[shape], crs=4326).to_file(path)
    rows = measured(path, columns=1)[0].rows
    dense = geopandas.GeoSeries([shapely.segmentize(shape, 0.001)], crs=4326).to_crs(32633)[0]
    truth = shapely.area(shapely.intersection(dense, square(0, 0, SIZE))) / SIZE**2
    assert 0 < truth < 1
    assert rows[0]["fraction"] == pytest.approx(truth, abs=1e-3)


def test_points_are_counted_once_and_lines_by_their_metres_in_the_window(tmp_path: Path) -> None:
    points = [shapely.Point(LEFT + x, BOTTOM + 100) for x in (10, 20, 640, 700)]
    line = shapely.LineString([(LEFT + 100, BOTTOM + 50), (LEFT + 1100, BOTTOM + 50)])
    path = layer(tmp_path / "own.gpkg", [*points, line], ["turbine"] * 4 + ["road"])
    rows = {(row["chip_id"][-13:], row["label"]): row for row in measured(path)[0].rows}
    west, east = (chip_id[-13:] for chip_id in block()[1])
    assert rows[west, "turbine"]["count"] == 2
    assert rows[east, "turbine"]["count"] == 2
    assert rows[west, "turbine"]["kind"] == "point"
    assert rows[west, "turbine"].get("fraction") is None
    assert rows[west, "road"]["length"] == pytest.approx(540)
    assert rows[east, "road"]["length"] == pytest.approx(460)
    assert rows[east, "road"]["kind"] == "line"


def test_a_kind_takes_the_features_that_it_names_and_no_others(tmp_path: Path) -> None:
    path = layer(tmp_path / "own.gpkg", [shapely.Point(LEFT + 5, BOTTOM + 5), square(0, 0, 640)], ["p", "a"])
    assert [row["label"] for row in measured(path, kind="polygon")[0].rows] == ["a"]
    assert [row["label"] for row in measured(path, kind="point")[0].rows] == ["p"]
    assert measured(path, kind="line")[0].rows == []


def test_ground_that_two_features_of_a_label_share_counts_once(tmp_path: Path) -> None:
    shapes = [square(0, 0, 320), square(0, 0, 320), square(160, 0, 320)]
    row = measured(layer(tmp_path / "own.gpkg", shapes, ["forest"] * 3), columns=1)[0].rows[0]
    assert row["fraction"] == pytest.approx(0.375)
    assert row["count"] == 2, "the same feature twice is one"


def test_a_feature_on_the_seam_of_two_files_counts_once(tmp_path: Path) -> None:
    paths = [layer(tmp_path / f"{name}.gpkg", [square(500, 0, 300)], ["lake"]) for name in "ab"]
    rows = measured(*paths)[0].rows
    assert [row["count"] for row in rows] == [1, 1]
    assert sum(row["fraction"] for row in rows) == pytest.approx(300**2 / 640**2, abs=1e-5)


def test_features_that_cannot_be_used_are_counted_and_the_others_stay(tmp_path: Path) -> None:
    shapes = [
        square(0, 0, 320),
        None,
        shapely.Polygon(),
        shapely.force_3d(square(0, 320, 320), 7.0),
        # A bow tie: two triangles that meet in a point.
        shapely.Polygon([(LEFT + x, BOTTOM + y) for x, y in ((320, 0), (640, 320), (640, 0), (320, 320))]),
        square(320, 320, 320),
        square(320, 320, 320),
    ]
    path = tmp_path / "own.gpkg"
    made = geopandas.GeoDataFrame({"class": ["a", "b", "c", "deep", "bow", None, " "]}, geometry=shapes, crs=32633)
    made.to_file(path)
    found, lost = measured(path, columns=1)
    shares = {row["label"]: row["fraction"] for row in found.rows}
    assert shares == pytest.approx({"a": 0.25, "deep": 0.25, "bow": 0.125})
    assert lost["no class"] == 2


def test_numbers_are_classes_too_and_keep_their_form_beside_nulls(tmp_path: Path) -> None:
    made = geopandas.GeoDataFrame({"class": [3, None]}, geometry=[square(0, 0, 320)] * 2, crs=32633)
    made.to_file(tmp_path / "own.gpkg")
    found, _ = measured(tmp_path / "own.gpkg", columns=1, rename={"3": "meadow"})
    assert [row["label"] for row in found.rows] == ["meadow"]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = layer(tmp_path / "own.gpkg", [square(0, 0, 9)], ["a"], column="kind_of_field")
    with pytest.raises(VectorFileError, match=r"own\.gpkg has no attribute 'class'; it has: kind_of_field"):
        measured(path)


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet"])
def test_a_layer_without_a_coordinate_system_is_refused(tmp_path: Path, suffix) -> None:
    made = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[square(0, 0, 9)])
    path = tmp_path / f"own.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyogrio's, which says what this test is about
        made.to_parquet(path) if suffix == "parquet" else made.to_file(path)
    with pytest.raises(VectorFileError, match="names no coordinate system"):
        measured(path)


@pytest.mark.parametrize("number", [0, -1])
def test_a_geopackage_whose_system_is_undefined_is_refused(tmp_path: Path, number: int) -> None:
    path = layer(tmp_path / "own.gpkg", [square(0, 0, 9)], ["a"])
    with closing(sqlite3.connect(path)) as database, database:
        values = f"('undefined', {number}, 'NONE', {number}, 'undefined', '')"
        database.execute(f"INSERT OR IGNORE INTO gpkg_spatial_ref_sys VALUES {values}")
        for table in ("gpkg_geometry_columns", "gpkg_contents"):
            database.execute(f"UPDATE {table} SET srs_id = {number}")
    with pytest.raises(VectorFileError, match="names no coordinate system"):
        measured(path)


def test_a_table_of_styles_beside_the_only_layer_is_no_layer(tmp_path: Path) -> None:
    path = layer(tmp_path / "own.gpkg", [square(0, 0, 640)], ["a"])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")  # as QGIS leaves it
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, style TEXT)")
        row = "('layer_styles', 'attributes', 'layer_styles', 0)"
        database.execute(f"INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES {row}")
    assert [row["label"] for row in measured(path, columns=1)[0].rows] == ["a"]
    assert [file.name for file in tmp_path.iterdir()] == ["own.gpkg"], "reading leaves nothing beside it"


def test_geojson_without_a_coordinate_system_is_in_degrees(tmp_path: Path) -> None:
    shape = geopandas.GeoSeries([square(0, 0, 640)], crs=32633).to_crs(4326)[0]
    feature = {"type": "Feature", "properties": {"class": "a"}, "geometry": shapely.geometry.mapping(shape)}
    path = tmp_path / "own.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert [row["fraction"] for row in measured(path, columns=1)[0].rows] == pytest.approx([1.0], abs=1e-3)


def test_a_complete_layer_denies_only_within_the_box_of_its_features(tmp_path: Path) -> None:
    path = layer(tmp_path / "own.gpkg", [square(-10, -10, 30), square(630, 630, 30)], ["a", "b"])
    found, _ = measured(path, columns=2, complete=True)
    assert [row["chip_id"] for row in found.complete] == [block(2)[1][0]]


def test_features_on_both_sides_of_180_degrees_label_a_scene_that_crosses_it(tmp_path: Path) -> None:
    grid = WindowGrid(32660, SIZE)
    columns = np.arange(1301, 1305)  # 180 degrees east lies at 833,979 m on the equator
    some = Block(grid, columns, np.zeros(4, np.int64))
    ids = [grid.window_id(column, 0) for column in columns.tolist()]
    places = windows_of(frame(some, ids))
    west, south, east, north = box_around(places)
    assert west > east
    shapes = [shapely.box(179.9, -0.1, 180, 0.1), shapely.box(-180, -0.1, -179.9, 0.1)]
    path = tmp_path / "own.gpkg"
    geopandas.GeoDataFrame({"class": ["sea", "sea"]}, geometry=shapes, crs=4326).to_file(path)
    params = SourceParams(kind="polygon", path="inputs/labels/x")
    sheet = Sheet("own", Interval.of_text("2020"), partial(label_files.features, path, params, lost={}))
    source = FeatureSource("own", "polygon", [], False, "CC0-1.0", [sheet], (west, south, east, north))
    rows = source.measure(some, ids, 20, 0.01).rows
    assert [row["fraction"] for row in rows] == pytest.approx([1.0] * 4, abs=1e-3)
    assert {row["date"] for row in rows} == {"2020"}
