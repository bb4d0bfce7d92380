"""Where a label lies in its window: masks and boxes."""

import numpy as np
import pytest
import shapely

from tasks.earth import label_fractions, label_masks
from tasks.earth.blocks import Block
from tasks.earth.grid import window_grid

COLUMNS = {"source": "map", "derived": False, "licence": "CC0-1.0", "date": None, "kind": "area"}


def block() -> Block:
    """Two windows side by side, and one north of the first."""
    return Block(window_grid(32633, 640, 1), np.array([700, 701, 700]), np.array([9000, 9000, 9001]))


def box(window: tuple[int, int], x1: float, y1: float, x2: float, y2: float) -> shapely.Polygon:
    """A box in fractions of a window, from its north-west corner, in metres."""
    left, top = window[0] * 640, (window[1] + 1) * 640
    return shapely.box(left + x1 * 640, top - y2 * 640, left + x2 * 640, top - y1 * 640)


def test_masks_and_boxes_of_features_lie_where_the_features_lie_north_up() -> None:
    shapes = np.array(
        [box((700, 9000), 0.5, 0, 1, 0.25), box((700, 9000), 0, 0.75, 0.25, 1), box((701, 9000), 0, 0, 1, 1)]
    )
    rows = label_fractions.polygons(
        block(), ["a", "b", "c"], shapes, np.array(["wood", "wood", "lake"]), 0.01, **COLUMNS
    )
    wood, lake = sorted(rows, key=lambda row: row["chip_id"])
    assert wood["boxes"] == [[0.5, 0, 1, 0.25], [0, 0.75, 0.25, 1]] and wood["count"] == 2
    plane = label_masks.unpack(wood["mask"])
    assert plane[:8, 16:].all() and plane[24:, :8].all() and plane.mean() == pytest.approx(wood["fraction"])
    assert label_masks.unpack(lake["mask"]).all() and lake["boxes"] == [[0, 0, 1, 1]]


def test_a_feature_across_two_windows_has_in_each_its_own_part() -> None:
    shape = shapely.union(box((700, 9000), 0.5, 0.5, 1, 1), box((701, 9000), 0, 0.5, 0.5, 1))
    rows = label_fractions.polygons(block(), ["a", "b", "c"], np.array([shape]), np.array(["wood"]), 0.01, **COLUMNS)
    assert {row["chip_id"]: row["boxes"] for row in rows} == {"a": [[0.5, 0.5, 1, 1]], "b": [[0, 0.5, 0.5, 1]]}


def test_what_is_smaller_than_a_cell_still_lies_somewhere() -> None:
    speck = box((700, 9001), 0.51, 0.26, 0.515, 0.265)
    rows = label_fractions.polygons(block(), ["a", "b", "c"], np.array([speck]), np.array(["hut"]), 1e-6, **COLUMNS)
    assert np.argwhere(label_masks.unpack(rows[0]["mask"])).tolist() == [[8, 16]]


def test_lines_and_points_have_the_cells_they_touch() -> None:
    road = shapely.LineString([(700 * 640, 9001 * 640 - 330), (701 * 640, 9001 * 640 - 330)])
    columns = {**COLUMNS, "kind": "line"}
    line = label_fractions.lines(block(), ["a", "b", "c"], np.array([road]), np.array(["road"]), 0.01, **columns)[0]
    assert label_masks.unpack(line["mask"]).sum() == 32 and label_masks.unpack(line["mask"])[16].all()
    mast = shapely.Point(700 * 640 + 5, 9002 * 640 - 5)
    point = label_fractions.points(block(), ["a", "b", "c"], np.array([mast]), np.array(["mast"]), **columns)[0]
    assert np.argwhere(label_masks.unpack(point["mask"])).tolist() == [[0, 0]] and "boxes" not in point


@pytest.mark.parametrize("side", [16, 32, 48, 64, 107])
def test_a_raster_of_any_resolution_is_put_on_the_cells_of_masks(side: int) -> None:
    tiles = np.zeros((2, side, side), bool)
    tiles[0, :, : side // 2] = True
    tiles[1, side // 3, side // 2] = True
    half, speck = label_masks.resized(tiles)
    assert half.mean() == pytest.approx(0.5, abs=0.04) and half[:, 0].all() and not half[:, 31].any()
    assert speck.any() and abs(np.argwhere(speck)[0][0] - 32 // 3) <= 1


def test_of_ten_thousand_features_the_largest_are_boxed_and_all_are_counted() -> None:
    xs, ys = np.meshgrid(np.arange(100) / 100, np.arange(100) / 100)
    shapes = np.array(
        [box((700, 9000), x, y, x + 0.008, y + 0.008) for x, y in zip(xs.ravel(), ys.ravel(), strict=True)]
    )
    row = label_fractions.polygons(block(), ["a", "b", "c"], shapes, np.repeat("hut", 10_000), 2e-4, **COLUMNS)[0]
    assert row["count"] == 10_000 and len(row["boxes"]) == label_masks.MOST_BOXES
