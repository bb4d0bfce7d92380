import json
import shutil
import sqlite3
import warnings
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Transformer

from tasks.core.errors import ParamsError
from tasks.earth.areas import Areas, load_areas

FIJI_ZONE = 32660


@pytest.fixture
def areas_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inputs/areas").mkdir(parents=True)

    def load(**areas: object) -> Areas:
        Path("params.yaml").write_text(json.dumps({"areas": areas}))
        return load_areas()

    return load


def square(epsg: int, longitude: float, latitude: float, size: float = 640.0) -> np.ndarray:
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, latitude)
    return np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]])


def test_a_window_touches_the_box_it_overlaps_and_no_other(areas_of) -> None:
    areas = areas_of(here=[12.0, 52.0, 12.1, 52.1])
    assert areas.boxes == [(12.0, 52.0, 12.1, 52.1)]
    places = np.concatenate([square(32633, 12.1, 52.05), square(32633, 12.05, 52.05), square(32633, 12.2, 52.05)])
    assert areas.touch(32633, places).tolist() == [True, True, False]


def test_a_box_across_180_degrees_is_searched_in_two_halves_and_touched_from_both_zones(areas_of) -> None:
    areas = areas_of(fiji=[179.0, -18.0, -179.0, -16.0])
    assert sorted(areas.boxes) == [(-180.0, -18.0, -179.0, -16.0), (179.0, -18.0, 180.0, -16.0)]
    assert areas.touch(32760, square(32760, 179.5, -17.0)).all()
    assert areas.touch(32760, square(32760, 180.0, -17.0)).all()
    assert areas.touch(32701, square(32701, -179.5, -17.0)).all()
    assert not areas.touch(32701, square(32701, -178.5, -17.0)).any()


def test_the_whole_world_is_touched_everywhere_also_at_the_poles(areas_of) -> None:
    areas = areas_of(world=[-180, -90, 180, 90])
    assert areas.boxes == [(-180.0, -90.0, 180.0, 90.0)]
    for epsg, place in (
        (32618, (-75.0, 37.0)),
        (FIJI_ZONE, (180.0, 10.0)),
        (32661, (0.0, 90.0)),
        (32761, (10.0, -89.0)),
    ):
        assert areas.touch(epsg, square(epsg, *place)).all()


def test_a_window_on_the_pole_touches_only_what_is_near_it(areas_of) -> None:
    pole = np.array([[1_999_000.0, 1_999_000.0, 2_001_000.0, 2_001_000.0]])
    assert areas_of(cap=[10, 89.95, 20, 90]).touch(32661, pole).all()
    assert not areas_of(ring=[-180, 80, 180, 89]).touch(32661, pole).any()


@pytest.mark.parametrize("name", ["fields.geojson", "fields.gpkg", "fields.parquet", "fields.fgb", "fields.zip"])
@pytest.mark.parametrize("epsg", [4326, 32633, 3857])
def test_shapes_of_a_file_are_touched_where_they_lie_whatever_its_format_and_system(areas_of, name, epsg) -> None:
    frame = geopandas.GeoDataFrame(
        {"name": ["a", "b"]},
        geometry=[shapely.Point(12.0, 52.0).buffer(0.01), shapely.Point(12.5, 52.0).buffer(0.01)],
        crs=4326,
    )
    path = f"inputs/areas/{name}"
    moved = frame.to_crs(epsg)
    Path("shapes").mkdir()
    if name.endswith(".parquet"):
        moved.to_parquet(path)
    elif name.endswith(".zip"):
        moved.to_file("shapes/fields.shp")
        shutil.make_archive("inputs/areas/fields", "zip", "shapes")
    else:
        moved.to_file(path)
    areas = areas_of(fields=path)
    assert np.allclose(sorted(areas.boxes)[0], (11.99, 51.99, 12.01, 52.01), atol=1e-4)
    assert len(areas.boxes) == 2
    places = np.concatenate([square(32633, x, 52.0) for x in (12.0, 12.25, 12.5)])
    assert areas.touch(32633, places).tolist() == [True, False, True]


def test_points_with_a_size_are_squares_of_that_side(areas_of) -> None:
    areas = areas_of(sites={"points": [[12.0, 52.0], [180.0, 0.0]], "size": 2000})
    assert areas.touch(32633, square(32633, 12.0, 52.0)).all()
    assert not areas.touch(32633, square(32633, 12.03, 52.0)).any()
    west, south, east, north = areas.boxes[0]
    assert (north - south) * 111_250 == pytest.approx(2000, abs=5)
    assert (east - west) * 68_680 == pytest.approx(2000, abs=20)
    assert len(areas.boxes) == 3, "the one on 180 degrees has two halves"


def test_points_of_a_file_take_the_size_beside_its_path(areas_of) -> None:
    frame = geopandas.GeoDataFrame(geometry=[shapely.Point(12.0, 52.0)], crs=4326).to_crs(25833)
    frame.to_file("inputs/areas/sites.gpkg")
    areas = areas_of(sites={"path": "inputs/areas/sites.gpkg", "size": 2000})
    assert areas.touch(32633, square(32633, 12.01, 52.0)).all()
    frame.buffer(10).to_file("inputs/areas/fields.gpkg")
    with pytest.raises(ParamsError, match=r"areas\.sites: .*Polygons; `size` goes with points alone"):
        areas_of(sites={"path": "inputs/areas/fields.gpkg", "size": 2000})


def test_a_projected_shape_across_180_degrees_or_round_a_pole_is_where_it_is(areas_of) -> None:
    fiji = geopandas.GeoDataFrame(geometry=[shapely.Point(180, -17).buffer(0.5)], crs=4326).to_crs(3832)
    fiji.to_file("inputs/areas/fiji.gpkg")
    pole = geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0).buffer(1_000_000)], crs=3031)
    pole.to_file("inputs/areas/pole.gpkg")
    areas = areas_of(fiji="inputs/areas/fiji.gpkg", pole="inputs/areas/pole.gpkg")
    assert all(east - west < 1 for west, _, east, north in areas.boxes if north > -20)
    assert areas.touch(32701, square(32701, -179.8, -17.0)).all()
    assert not areas.touch(32631, square(32631, 3.0, 10.0)).any()
    assert areas.touch(32761, square(32761, 10.0, -89.9)).all()
    assert areas.touch(32761, square(32761, 190.0, -85.0)).all()


def test_many_places_of_a_file_are_searched_together(areas_of) -> None:
    x, y = np.meshgrid(np.linspace(10, 11.5, 40), np.linspace(50, 51.5, 40))
    shapes = shapely.buffer(shapely.points(x.ravel(), y.ravel()), 0.001)
    geopandas.GeoDataFrame(geometry=shapes, crs=4326).to_file("inputs/areas/many.gpkg")
    assert len(areas_of(many="inputs/areas/many.gpkg").boxes) <= 4


BAD = {
    "a box of no height": ([10, 50, 11, 50], r"'areas\.bad\.box' is .*is not \[west, south, east, north\]"),
    "a box beyond the Earth": ([10, 50, 190, 51], r"is not \[west, south, east, north\]"),
    "a path outside": ("/etc/passwd", r"lies under inputs/areas/"),
    "a path that climbs out": ("inputs/areas/../../x.gpkg", r"lies under inputs/areas/"),
    "a file that is not there": ("inputs/areas/none.gpkg", r"areas\.bad: inputs/areas/none\.gpkg is not there"),
    "points without a size": ({"points": [[1, 2]]}, r"points need a size"),
    "a point beyond the Earth": ({"points": [[1, 92]], "size": 10}, r"is not \[longitude, latitude\]"),
    "nothing": ({}, r"an area is one of: a box, a path, points with a size"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_area_is_refused_by_name(areas_of, case) -> None:
    area, message = BAD[case]
    with pytest.raises(ParamsError, match=message):
        areas_of(bad=area)


HOSTILE = {
    "vrt.gpkg": b"<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>/etc</SrcDataSource></OGRVRTLayer>",
    "gdalg.geojson": b'{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline read /etc/passwd"}',
    "cut.geojson": b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geom',
    "text.gpkg": b"hello",
    "empty.gpkg": b"",
    "header.gpkg": b"SQLite format 3\0" + b"\0" * 4096,
    "not.parquet": b"PAR1" + b"\0" * 100,
    "not.zip": b"PK\x03\x04" + b"\0" * 100,
    "nothing.geojson": b'{"type": "FeatureCollection", "features": []}',
    "null.geojson": b'{"type": "Feature", "properties": {}, "geometry": null}',
    "metres.geojson": b'{"type": "Point", "coordinates": [500000, 5800000]}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_damaged_or_hostile_file_is_refused_by_name(areas_of, name) -> None:
    Path("inputs/areas", name).write_bytes(HOSTILE[name])
    with pytest.raises(ParamsError, match=f"areas.bad: inputs/areas/{name}"):
        areas_of(bad=f"inputs/areas/{name}")


def test_a_database_whose_tables_stand_for_other_files_is_refused(areas_of) -> None:
    path = Path("inputs/areas/virtual.gpkg")
    geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs=4326).to_file(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA writable_schema=ON")
        database.execute(
            "INSERT INTO sqlite_master VALUES ('table', 't', 't', 0, 'CREATE VIRTUAL TABLE t USING VirtualOGR(''x'')')"
        )
    database.close()
    with pytest.raises(ParamsError, match="virtual"):
        areas_of(bad=str(path))


def test_a_file_without_a_coordinate_system_is_refused(areas_of) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyogrio's, which says what this test is about
        geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2)]).to_file("inputs/areas/no.fgb")
    with pytest.raises(ParamsError, match="names no coordinate system"):
        areas_of(bad="inputs/areas/no.fgb")


def test_a_file_of_several_layers_wants_one_named(areas_of) -> None:
    frame = geopandas.GeoDataFrame(geometry=[shapely.Point(1, 2).buffer(0.1)], crs=4326)
    for layer in ("first", "second"):
        frame.to_file("inputs/areas/two.gpkg", layer=layer)
    with pytest.raises(ParamsError, match="2 layers; name one as `layer`: first, second"):
        areas_of(bad="inputs/areas/two.gpkg")
    assert areas_of(good={"path": "inputs/areas/two.gpkg", "layer": "second"}).boxes


def test_a_shape_in_degrees_that_jumps_across_180_is_refused_as_it_may_go_round_the_earth(areas_of) -> None:
    ring = [[179, -18], [-179, -18], [-179, -16], [179, -16], [179, -18]]
    Path("inputs/areas/jump.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    with pytest.raises(ParamsError, match="an edge spans more than 180 degrees"):
        areas_of(bad="inputs/areas/jump.geojson")
