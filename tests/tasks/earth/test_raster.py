"""Pixels come from where they lie: whatever the file's CRS, points, phase, orientation, mask or type."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine, from_origin
from rasterio.warp import reproject, transform

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.geolocation import geolocation
from tasks.earth.grid import WindowGrid
from tasks.earth.raster import TargetGrid, read_onto
from tests.fixtures.rasters import UTM33, opened, write

RNG = np.random.default_rng(3)
LEFT, TOP = 499_200.0, 5_824_000.0


def ramp(height: int, width: int) -> np.ndarray:
    """Numbers that say where they lie: 100 x row + column."""
    return (100 * np.arange(height)[:, None] + np.arange(width)[None, :]).astype(np.uint16)


def test_pixels_of_a_file_on_the_same_grid_are_the_files_own(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(64, 64), from_origin(LEFT, TOP, 10, 10), crs=UTM33)
    with opened(path) as band:
        values, valid = read_onto(band, TargetGrid(32633, LEFT + 100, TOP - 200, 10, 8, 8))
    assert values.dtype == np.uint16 and valid.all()
    assert np.array_equal(values, ramp(64, 64)[20:28, 10:18])


def test_a_coarser_band_is_repeated_and_not_interpolated_where_its_pixels_hold_a_whole_number_of_ours(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "a.tif", ramp(16, 16), from_origin(LEFT, TOP, 60, 60), crs=UTM33)
    with opened(path) as band:
        values, _ = read_onto(band, TargetGrid(32633, LEFT, TOP, 10, 24, 12))
    assert values.dtype == np.uint16
    assert np.array_equal(values, np.kron(ramp(16, 16), np.ones((6, 6), np.uint16))[:12, :24])


def test_a_line_on_landsats_grid_half_a_pixel_off_ours_stays_where_it_is(tmp_path: Path) -> None:
    values = np.full((160, 160), 10_000, np.uint16)
    values[:, 80] = 30_000
    left, top = LEFT - 15, TOP - 625 + 15
    path = write(tmp_path / "a.tif", values, from_origin(left, top, 30, 30), crs=UTM33)
    with opened(path) as band:
        read, valid = read_onto(band, TargetGrid(32633, LEFT, TOP - 640, 30, 128, 64))
    weight = read[32] - 10_000.0
    place = LEFT + 30 * ((np.arange(128) + 0.5) * weight).sum() / weight.sum()
    assert valid.all()
    assert place == pytest.approx(left + 30 * 80.5, abs=0.5), "metres: no bias to any side"


@pytest.mark.parametrize("codes", [False, True])
def test_a_file_stored_south_up_is_read_like_one_stored_north_up(tmp_path: Path, codes: bool) -> None:
    values = ramp(64, 64)
    up = write(tmp_path / "up.tif", values, from_origin(LEFT, TOP, 10, 10), crs=UTM33)
    down = write(tmp_path / "down.tif", values[::-1], Affine(10, 0, LEFT, 0, 10, TOP - 640), crs=UTM33)
    target = TargetGrid(32633, LEFT, TOP, 10, 64, 64)
    with opened(up) as a, opened(down) as b:
        assert np.array_equal(read_onto(a, target, codes)[0], read_onto(b, target, codes)[0])
        assert a.place.zones == b.place.zones == [32633]


def test_a_scene_in_the_northern_zone_south_of_the_equator_gives_its_own_pixels_in_the_southern(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", ramp(64, 64), from_origin(600_000, -300_000, 30, 30), crs="EPSG:32620")
    with opened(path) as band:
        values, valid = read_onto(band, TargetGrid(32720, 600_000, 9_700_000, 30, 64, 64))
        assert band.place.zones == [32720]
    assert values.dtype == np.uint16 and valid.all() and np.array_equal(values, ramp(64, 64))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_codes_are_never_interpolated_whatever_their_type_and_crs(tmp_path: Path, dtype: str) -> None:
    codes = np.where((np.indices((200, 200)).sum(axis=0) // 3) % 2, 64, 128).astype(dtype)
    path = write(tmp_path / "a.tif", codes, from_origin(670_000, 5_824_000, 30, 30), crs="EPSG:32632")
    x, y = transform("EPSG:32632", UTM33, [673_000], [5_821_000])
    with opened(path) as band:
        values, valid = read_onto(band, TargetGrid(32633, round(x[0], -1), round(y[0], -1), 30, 40, 40), codes=True)
    assert valid.all() and set(np.unique(values)) == {64, 128}
    assert (values == 64).mean() == pytest.approx(0.5, abs=0.05)


def gcps(width: int, height: int, count: int = 5) -> list[GroundControlPoint]:
    """Points of an image that is turned and bent, as a radar's swath is."""
    points = []
    for row in np.linspace(0, height, count):
        for column in np.linspace(0, width, count):
            u, v = column / width, row / height
            x = 15.0 + 0.03 * u + 0.004 * v + 0.001 * u * v
            y = 52.56 - 0.018 * v + 0.003 * u + 0.0004 * u * u
            points.append(GroundControlPoint(row=row, col=column, x=x, y=y))
    return points


def test_ground_control_points_put_pixels_where_a_reprojection_with_them_does(tmp_path: Path) -> None:
    field = np.add.outer(np.linspace(0, 40, 200), 25 * np.sin(np.linspace(0, 3, 240))).astype(np.float32) + 100
    path = tmp_path / "a.tif"
    points = gcps(240, 200)
    with rasterio.open(path, "w", driver="GTiff", width=240, height=200, count=1, dtype="float32") as out:
        out.write(field[None])
        out.gcps = points, CRS.from_epsg(4326)
    with opened(path) as band:
        box = band.place.bounds_in(32633)
        left, top = np.floor(box.left / 10) * 10, np.ceil(box.top / 10) * 10
        width, height = int((box.right - left) / 10) + 1, int((top - box.bottom) / 10) + 1
        values, valid = read_onto(band, TargetGrid(32633, left, top, 10, width, height))
    wanted = np.full((height, width), np.nan, np.float32)
    reproject(
        field, wanted, gcps=points, src_crs="EPSG:4326", dst_crs=UTM33, dst_transform=from_origin(left, top, 10, 10),
        dst_nodata=np.nan, resampling=Resampling.bilinear, SRC_METHOD="GCP_TPS",
    )  # fmt: skip
    there = np.isfinite(wanted) & valid
    assert 0.5 < valid.mean() < 0.95, "the box around a turned scene holds more than the scene"
    assert (valid == np.isfinite(wanted)).mean() > 0.98
    # The field changes by 0.2 and 0.3 a pixel: this is a tenth of a pixel.
    assert np.abs(values - wanted)[there].max() < 0.1 and np.abs(values - wanted)[there].mean() < 0.01


def test_points_on_both_sides_of_180_degrees_are_neighbours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    points = [
        GroundControlPoint(row=r, col=c, x=(179.95 + 0.001 * c + 180) % 360 - 180, y=-17.0 - 0.001 * r)
        for r in (0, 50, 100)
        for c in (0, 50, 100)
    ]
    with rasterio.open(path, "w", driver="GTiff", width=100, height=100, count=1, dtype="float32") as out:
        out.write(np.repeat(np.arange(100, dtype=np.float32)[None], 100, axis=0)[None])
        out.gcps = points, CRS.from_epsg(4326)
    with opened(path) as band:
        assert band.place.zones == [32701, 32760]
        grid = WindowGrid(32701, 640)
        columns, rows = grid.cells_in(band.place.bounds_in(32701))
        assert 40 < grid.in_own_zone(columns, rows).sum() < 250
        x, y = transform("EPSG:4326", "EPSG:32701", [-179.97], [-17.05])
        values, valid = read_onto(band, TargetGrid(32701, x[0], y[0], 100, 2, 2))
    assert valid.all() and values[0, 0] == pytest.approx(80, abs=1.5)


@pytest.mark.parametrize(
    ("crs", "left", "top", "zones"),
    [
        ("EPSG:3031", 1_517_085, -1_811_685, {32754}),  # Landsat 9 over the coast of Antarctica
        ("EPSG:3413", -100_000, 100_000, {32661}),  # the north pole
        ("EPSG:4326", None, None, {32632, 32633}),
    ],
)
def test_a_scene_in_polar_or_geographic_coordinates_is_worked_in_the_zones_it_lies_in(
    tmp_path: Path, crs: str, left: float | None, top: float | None, zones: set[int]
) -> None:
    place = from_origin(11.9, 52.1, 0.001, 0.001) if left is None or top is None else from_origin(left, top, 30, 30)
    path = write(tmp_path / "a.tif", ramp(200, 200), place, crs=crs)
    with opened(path) as band:
        assert set(band.place.zones) == zones
        found = 0.0
        for epsg in zones:
            box = band.place.bounds_in(epsg)
            size = 100
            width, height = (
                max(1, int((far - near) / size)) for near, far in ((box.left, box.right), (box.bottom, box.top))
            )
            _, valid = read_onto(band, TargetGrid(epsg, box.left, box.top, size, width, height))
            found += valid.sum() * size**2
    real = 200 * 200 * (30 * 30 if left is not None else 111.3 * 111.3 * np.cos(np.radians(52)))
    assert found >= 0.9 * real


def test_a_masked_pixel_is_no_measurement_and_the_files_mask_comes_before_what_is_declared(tmp_path: Path) -> None:
    mask = np.ones((16, 16), bool)
    mask[:, 8:] = False
    values = np.full((16, 16), 500, np.uint16)
    path = write(tmp_path / "a.tif", values, from_origin(LEFT, TOP, 10, 10), crs=UTM33, mask=mask)
    target = TargetGrid(32633, LEFT, TOP, 10, 16, 16)
    with opened(path, Asset("S", "b", "", nodata=500)) as band:
        assert np.array_equal(read_onto(band, target)[1], mask)


@pytest.mark.parametrize(
    ("file", "item", "valid"),
    [
        (7, 500, [True, False, True, True, False]),  # the file's value counts, not the item's
        (None, 500, [True, True, False, True, False]),
        (None, None, [True, True, True, True, False]),  # of this sensor, 0 never is a measurement
        (None, -9999, [True, True, True, True, False]),  # cannot occur in uint16: it says nothing
        (65535, None, [True, True, True, False, False]),
    ],
)
def test_no_data_is_what_the_file_then_the_item_then_the_sensor_says(
    tmp_path: Path, file: float | None, item: float | None, valid: list[bool]
) -> None:
    values = np.tile(np.array([1, 7, 500, 65535, 0], np.uint16), (5, 1))
    path = write(tmp_path / "a.tif", values, from_origin(LEFT, TOP, 10, 10), crs=UTM33, nodata=file)
    with opened(path, Asset("S", "b", "", nodata=item, fill=0)) as band:
        assert read_onto(band, TargetGrid(32633, LEFT, TOP, 10, 5, 5))[1][0].tolist() == valid


def test_no_data_never_leaks_into_its_neighbours_when_a_file_is_interpolated(tmp_path: Path) -> None:
    values = np.full((64, 64), 1000, np.uint16)
    values[:, 32:] = 0
    path = write(tmp_path / "a.tif", values, from_origin(LEFT - 15, TOP + 15, 30, 30), crs=UTM33, nodata=0)
    with opened(path) as band:
        read, valid = read_onto(band, TargetGrid(32633, LEFT, TOP, 30, 60, 60))
    assert set(np.unique(read[valid])) == {1000.0}


@pytest.mark.parametrize(
    ("crs", "place", "why"),
    [
        (None, from_origin(LEFT, TOP, 10, 10), "no coordinate system"),
        (UTM33, None, "no coordinate system with a transform"),
        ('LOCAL_CS["drone",UNIT["metre",1]]', from_origin(0, 0, 10, 10), "local"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_that_does_not_say_where_it_lies_is_refused_by_name(
    tmp_path: Path, crs: str | None, place: Affine | None, why: str
) -> None:
    path = write(tmp_path / "a.tif", ramp(8, 8), place, crs=crs)
    with rasterio.open(path) as dataset, pytest.raises(SceneError, match=why) as caught:
        geolocation(dataset, "scene x")
    assert caught.value.reason == "no-crs"


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0, 15.0, 52.0)],
        [(0, 0, 15.0, 52.0), (8, 8, 15.01, 51.99)],
        [(0, 2 * i, 15 + 0.001 * i, 52.0) for i in range(5)],
        [(0, 0, 15.0, 52.0)] * 4,
        [(r, c, 15.0, 52.0) for r in (0, 8) for c in (0, 8)],
        [(0, 0, float("nan"), 52.0), (0, 8, 15.01, 52.0), (8, 0, 15.0, 51.99)],
    ],
    ids=["one", "two", "on a line", "one many times", "of one place", "not a number"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_control_points_that_span_no_area_are_refused_by_name(
    tmp_path: Path, points: list[tuple[float, float, float, float]]
) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=1, dtype="float32") as out:
        out.write(np.ones((1, 8, 8), np.float32))
        out.gcps = [GroundControlPoint(row, column, x, y) for row, column, x, y in points], CRS.from_epsg(4326)
    with rasterio.open(path) as dataset, pytest.raises(SceneError, match=r"do not span|no ground control") as caught:
        geolocation(dataset, "scene x")
    assert caught.value.reason == "no-crs"
