"""The global grid."""

import numpy as np

from tasks.earth.grid import Bounds, WindowGrid, part_of, utm_epsg


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


def test_landsat_windows_south_of_the_equator_stay_in_the_northern_zone() -> None:
    grid = WindowGrid(32620, 1920)
    columns, rows = grid.cells_in(Bounds(400_000, -300_000, 410_000, -290_000))
    assert grid.in_own_zone(columns, rows).all()


def test_every_window_belongs_to_exactly_one_part_and_neighbours_mostly_to_the_same() -> None:
    columns, rows = (a.ravel() for a in np.meshgrid(np.arange(64), np.arange(64)))
    parts = part_of(columns, rows, 32618, 1, 3).reshape(64, 64)
    assert set(parts.ravel()) <= {0, 1, 2}
    assert (parts[:, 1:] == parts[:, :-1]).mean() > 0.9
