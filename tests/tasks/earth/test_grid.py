"""The global grid."""

import numpy as np
import pytest

from tasks.earth.grid import Bounds, WindowGrid, utm_epsg


def test_a_window_has_the_same_id_whatever_area_was_asked_for() -> None:
    grid = WindowGrid(32618, 640)
    ids = []
    for bounds in (Bounds(400_000, 4_100_000, 405_000, 4_105_000), Bounds(399_123, 4_099_777, 420_000, 4_110_000)):
        columns, rows = grid.cells_in(bounds)
        ids.append({grid.window_id(c, r) for c, r in zip(columns.tolist(), rows.tolist(), strict=True)})
    assert ids[0] < ids[1]


def test_windows_cover_the_bounds_and_touch_them() -> None:
    grid = WindowGrid(32618, 640)
    bounds = Bounds(400_001, 4_100_001, 401_000, 4_100_500)
    columns, rows = grid.cells_in(bounds)
    boxes = [grid.bounds(c, r) for c, r in zip(columns.tolist(), rows.tolist(), strict=True)]
    assert min(b.left for b in boxes) <= bounds.left and max(b.right for b in boxes) >= bounds.right
    assert all(b.right > bounds.left and b.left < bounds.right for b in boxes)
    assert all(b.top > bounds.bottom and b.bottom < bounds.top for b in boxes)


def test_a_place_where_zones_meet_belongs_to_one_zone() -> None:
    longitude, latitude = np.array([11.9999, 12.0]), np.array([52.0, 52.0])
    assert utm_epsg(longitude, latitude).tolist() == [32632, 32633]


def test_a_place_south_of_the_equator_has_the_id_of_its_own_hemisphere_however_its_scene_is_gridded() -> None:
    northern, southern = WindowGrid(32620, 640), WindowGrid(32720, 640)
    columns, rows = northern.cells_in(Bounds(400_000, -300_000, 410_000, -290_000))
    assert not northern.in_own_zone(columns, rows).any()
    columns, rows = southern.cells_in(Bounds(400_000, 9_700_000, 410_000, 9_710_000))
    assert southern.in_own_zone(columns, rows).all()


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [
        (5.3, 60.4, 32632),  # Bergen: zone 32 is wider there
        (2.9, 60.4, 32631),
        (15.6, 78.2, 32633),  # Longyearbyen
        (8.9, 78.9, 32631),
        (20.9, 79.0, 32633),
        (21.1, 79.0, 32635),
        (180.0, -17.0, 32701),
        (-180.0, -17.0, 32701),
        (179.999, -17.0, 32760),
        (12.0, 84.5, 32661),
        (12.0, -80.5, 32761),
        (30.0, 0.0, 32636),
    ],
)
def test_a_place_belongs_to_the_zone_that_tiles_are_cut_in(longitude: float, latitude: float, epsg: int) -> None:
    assert utm_epsg(np.array(longitude), np.array(latitude)) == epsg
