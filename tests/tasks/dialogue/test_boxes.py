"""Boxes: the same rectangles in text, in the code and on the Earth."""

import numpy as np
import pytest
import shapely
from rasterio.transform import Affine

from tasks.dialogue.boxes import (
    FORMS,
    BoxError,
    canonical,
    corners,
    find,
    iou,
    outside,
    parse,
    polygons,
    to_geojson,
    write,
)


def some(count: int, turned: bool) -> np.ndarray:
    """Boxes well inside the image."""
    rng = np.random.default_rng(7)
    centre, sides = rng.uniform(0.35, 0.65, (count, 2)), rng.uniform(0.05, 0.4, (count, 2))
    angle = rng.uniform(-45, 45, count) if turned else np.zeros(count)
    return np.column_stack([centre, sides, angle])


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("turned", [True, False], ids=["turned", "along the axes"])
def test_a_box_read_back_from_its_text_is_itself_to_half_a_unit(name: str, turned: bool) -> None:
    boxes = some(200, turned)
    again = parse(write(boxes, name), name)
    half = 0.5 / FORMS[name].grid
    edges = np.concatenate([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], axis=1)
    # A box turned by just under 45 degrees may come back as its twin, sides swapped and turned the other way.
    same = np.abs(again[:, 4] - boxes[:, 4]) < 1
    edges_again = np.concatenate([again[:, :2] - again[:, 2:4] / 2, again[:, :2] + again[:, 2:4] / 2], axis=1)
    assert same.mean() > 0.98 and np.abs(edges - edges_again)[same].max() <= half + 1e-12
    assert (np.abs(again[:, 4] - boxes[:, 4])[same] <= 0.5).all()


def test_every_rectangle_has_one_form_whatever_angle_it_was_written_with() -> None:
    written = np.array([[0.5, 0.5, 0.4, 0.2, 30.0]])
    for quarters in range(-3, 8):
        sides = [0.4, 0.2] if quarters % 2 == 0 else [0.2, 0.4]
        assert np.allclose(canonical(np.array([[0.5, 0.5, *sides, 30.0 + 90 * quarters]])), written)
    assert parse("[[10, 20, 30, 60, 90]]", "earthdial")[0].tolist() == pytest.approx([0.2, 0.4, 0.4, 0.2, 0])


def test_the_angle_turns_from_the_x_axis_towards_the_y_axis_that_points_down() -> None:
    (points,) = corners(np.array([[0.5, 0.5, 0.4, 0.0, 30.0]]), 100, 100)
    right = points[points[:, 0].argmax()]
    assert right.tolist() == pytest.approx([50 + 20 * np.cos(np.pi / 6), 60])


def test_the_published_ways_of_writing_boxes_are_all_read() -> None:
    two = "[[18, 21, 22, 25, 90]][[18, 18, 22, 22, 0]]"
    assert len(parse(two, "earthdial")) == 2
    assert np.array_equal(parse(f"<box>[{two}]</box>", "earthdial"), parse(two, "earthdial"))
    assert np.array_equal(
        parse("[[39, 21, 46, 27, 0], [27, 31, 33, 36, 0]]", "earthdial")[0], parse("[39,21,46,27]", "earthdial")[0]
    )
    assert parse("[[46, 27, 39, 21]]", "earthdial")[0, :2].tolist() == pytest.approx([0.425, 0.24])
    assert parse("[[\N{MINUS SIGN}10, 0, 10, 10]]", "earthdial")[0, 0] == 0


def test_boxes_beyond_the_image_are_kept_and_found() -> None:
    assert outside(parse("[[0, 0, 100, 100, 0]][[90, 90, 131, 99, 0]]", "earthdial")).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a ship", "no box in 'a ship'"),
        ("", "no box in ''"),
        ("[[1, 2, 3]]", "has 3 numbers"),
        ("[[1, 2, 3, 4, 5, 6]]", "has 6 numbers"),
        ("[[1, 2, x, 4]]", "is not a box of numbers"),
        ("[[1, 2, nan, 4]]", "has a number that is none"),
        ("[[]]", "is not a box of numbers"),
        ("[[1, 2, 3, 4]], [5, 6, 7", "ends within a box"),
        ("[[1, 2, 3, 1e9]]", "no place in an image"),
        ("[[1, 2, 3, 4]]" * 10_001, "10001 boxes in one text"),
    ],
)
def test_what_is_no_box_is_an_error_that_shows_it(text: str, said: str) -> None:
    with pytest.raises(BoxError, match=said.replace("[", r"\[")):
        parse(text)


def test_an_answer_that_was_cut_short_keeps_its_whole_boxes_and_tells_of_the_rest() -> None:
    found = find("[[11, 32, 23, 44, 90]][[10, 39, x, 51, 90]][[10, 69, 22", "earthdial")
    assert np.array_equal(found.boxes, parse("[[11, 32, 23, 44, 90]]", "earthdial"))
    assert len(found.refused) == 2 and "is not a box of numbers" in found.refused[0]
    assert find("").boxes.shape == (0, 5) and find("").refused


def test_a_form_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(BoxError, match="no form 'dota'; allowed: internvl, earthdial"):
        parse("[[1, 2, 3, 4]]", "dota")


def test_overlap_is_that_of_the_turned_rectangles() -> None:
    boxes = some(20, turned=True)
    table = iou(boxes, boxes)
    assert np.allclose(np.diag(table), 1) and np.allclose(table, table.T)
    a, b = polygons(boxes[:1])[0], polygons(boxes[1:2])[0]
    assert table[0, 1] == pytest.approx(a.intersection(b).area / a.union(b).area)
    point = np.array([[0.5, 0.5, 0.0, 0.0, 0.0]])
    assert iou(point, point)[0, 0] == 0
    assert iou(boxes, np.empty((0, 5))).shape == (20, 0)


def test_geojson_lies_where_the_pixels_do_and_its_rings_run_counter_clockwise() -> None:
    # Ten metres a pixel from the corner of a UTM zone's central meridian on the equator.
    transform = Affine(10, 0, 500_000, 0, -10, 10_000)
    geojson = to_geojson(parse("[[0, 0, 500, 1000]]"), transform, "EPSG:32631", 1000, 1000, ["west half"])
    (feature,) = geojson["features"]
    ring = shapely.geometry.shape(feature["geometry"]).exterior
    assert ring.is_ccw and feature["properties"] == {"label": "west half"}
    west, south, east, north = ring.bounds
    assert west == pytest.approx(3, abs=1e-6) and south == pytest.approx(0, abs=1e-6)
    assert (east - west) / (north - south) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(BoxError, match="1 boxes, but 2 labels"):
        to_geojson(parse("[[0, 0, 500, 1000]]"), transform, "EPSG:32631", 1000, 1000, ["a", "b"])


def test_a_box_across_the_antimeridian_is_two_polygons() -> None:
    transform = Affine(0.01, 0, 179, 0, -0.01, 1)
    geojson = to_geojson(parse("[[0, 0, 1000, 1000]]"), transform, "EPSG:4326", 200, 100)
    shape = shapely.geometry.shape(geojson["features"][0]["geometry"])
    assert shape.geom_type == "MultiPolygon" and shape.bounds == (-180, 0, 180, 1)
    assert shape.area == pytest.approx(2) and all(part.exterior.is_ccw for part in shape.geoms)
