import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.core.errors import VectorFileError
from tasks.earth import label_satlas
from tasks.earth.label_features import FeatureSource
from tasks.earth.label_params import SourceParams
from tasks.earth.label_sources import box_around, windows_of
from tests.fixtures.label_files import SIZE, block, frame, lonlat

PARAMS = SourceParams(kind="satlas", path="inputs/labels/satlas")


def tile_position(longitude: float, latitude: float) -> tuple[float, float]:
    """Column and row of a place in the grid of zoom 13, as satlas' own `geo_to_mercator` has them."""
    y = math.log(math.tan(math.radians(latitude)) + 1 / math.cos(math.radians(latitude)))
    return (longitude + 180) / 360 * 2**13, (1 - y / math.pi) / 2 * 2**13


COLUMN, ROW = (int(value) for value in tile_position(*lonlat(SIZE / 2, SIZE / 2)))


def inside(x: float, y: float) -> list[float]:
    """A place, in metres from the block's corner, in units of the tile."""
    column, row = tile_position(*lonlat(x, y))
    return [(column - COLUMN) * 8192, (row - ROW) * 8192]


def ring(x: float, y: float, side: float) -> list[list[float]]:
    return [inside(x + dx * side, y + dy * side) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))]


def write(root: Path, document: dict[str, Any], column: int = COLUMN, row: int = ROW, folder: str = "") -> None:
    path = root / f"{column}_{row}" / folder / "vector.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def measured(root: Path, when: datetime | None = None):
    sheets, _ = label_satlas.sheets(root, PARAMS, None)
    some, ids = block(1)
    held = [sheet for sheet in sheets if label_satlas.holds(sheet, when)]
    box = box_around(windows_of(frame(some, ids)))
    found = FeatureSource("satlas", "satlas", [], False, "various", held, box).measure(some, ids, 20, 0.01)
    return {row["label"]: row for row in found.rows}, found.complete


def test_points_polygons_and_lines_lie_where_the_tile_puts_them(tmp_path: Path) -> None:
    write(
        tmp_path / "static",
        {
            "solar_farm": [{"Geometry": {"Type": "polygon", "Polygon": [ring(0, 0, 320)]}, "Properties": {}}],
            "wind_turbine": [{"Geometry": {"Type": "point", "Point": inside(600, 600)}, "Properties": {}}],
            "road": [{"Geometry": {"Type": "polyline", "Polyline": [inside(-900, 320), inside(900, 320)]}}],
        },
    )
    rows, _ = measured(tmp_path)
    assert rows["solar farm"]["fraction"] == pytest.approx(0.25, abs=2e-3)
    assert rows["solar farm"]["position"] == "south-west"
    assert (rows["wind turbine"]["count"], rows["wind turbine"]["position"]) == (1, "north-east")
    assert rows["road"]["length"] == pytest.approx(SIZE, abs=2)


def test_an_empty_list_means_absent_and_a_missing_key_not_looked_for(tmp_path: Path) -> None:
    write(tmp_path, {"power_substation": [], "airport": []})
    rows, complete = measured(tmp_path)
    assert rows == {}
    assert [row["labels"] for row in complete] == [["airport", "power substation"]]


def test_a_class_of_the_whole_tile_is_absent_or_unknown_but_never_everywhere(tmp_path: Path) -> None:
    tile = {"Type": "polygon", "Polygon": [[[0, 0], [8192, 0], [8192, 8192], [0, 8192]]]}
    document = {"airport": []} | {
        name: [{"Geometry": tile, "Properties": {name: degree}}] for name, degree in (("smoke", 0), ("snow", 1))
    }
    write(tmp_path, document)
    rows, complete = measured(tmp_path)
    assert rows == {}
    assert [row["labels"] for row in complete] == [["airport", "smoke"]]


def test_of_a_window_in_two_tiles_only_what_both_were_searched_for_is_known(tmp_path: Path) -> None:
    for column in (COLUMN - 1, COLUMN, COLUMN + 1):
        for row in (ROW - 1, ROW, ROW + 1):
            write(tmp_path, {"airport": [], f"only_{column}_{row}": []}, column, row)
    some, ids = block(12)
    sheets, _ = label_satlas.sheets(tmp_path, PARAMS, None)
    source = FeatureSource("satlas", "satlas", [], False, "various", sheets, box_around(windows_of(frame(some, ids))))
    known = [row["labels"] for row in source.measure(some, ids, 20, 0.01).complete]
    assert ["airport"] in known
    assert any(len(labels) == 2 for labels in known)


def test_a_window_partly_outside_of_all_tiles_denies_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"airport": []}, COLUMN + 1, ROW)
    assert measured(tmp_path) == ({}, [])


def test_labels_of_a_moment_hold_for_scenes_of_that_day_alone(tmp_path: Path) -> None:
    metadata = {"Start": "2014-08-04T23:59:59+00:00", "End": "2014-08-05T00:00:01+00:00", "ImageName": "x"}
    vessel = [{"Geometry": {"Type": "point", "Point": inside(100, 100)}, "Properties": {}}]
    write(tmp_path / "dynamic", {"metadata": metadata, "vessel": vessel}, folder="vessel_325")
    assert set(measured(tmp_path, datetime(2014, 8, 5, 10, tzinfo=UTC))[0]) == {"vessel"}
    assert measured(tmp_path, datetime(2014, 9, 5, 10, tzinfo=UTC)) == ({}, [])


@pytest.mark.parametrize(
    "document",
    [[], {"airport": {}}, {"airport": [{"Geometry": {"Type": "blob"}}]}, {"airport": [{}]}, {"metadata": {"Start": 3}}],
)
def test_a_file_of_another_layout_is_refused_by_name(tmp_path: Path, document) -> None:
    write(tmp_path, document)
    with pytest.raises(VectorFileError, match=r"vector\.json"):
        measured(tmp_path)


def test_a_folder_that_is_named_after_no_tile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "9999_1").mkdir()
    (tmp_path / "9999_1/vector.json").write_text("{}")
    with pytest.raises(VectorFileError, match="named <column>_<row>"):
        measured(tmp_path)
