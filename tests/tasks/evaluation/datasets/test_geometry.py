import math

import numpy as np
import pytest
import shapely

from tasks.dialogue import boxes
from tasks.evaluation.datasets.owner_boxes import read, tilted, turned, upright, write


def test_an_upright_box_is_written_as_it_was_read():
    text = "[[7, 32, 14, 41, 0]][[6, 43, 13, 53, 0]]"
    assert write(read(text)) == text


def test_triple_brackets_and_text_around_them_are_read():
    assert len(read("there is <ref>x</ref> <box>[[[1, 2, 3, 4, 0]][[5, 6, 7, 8, 9]]]</box>")) == 2


def test_a_turned_box_of_a_square_image_keeps_its_place_through_the_text():
    for degrees in range(0, 180, 7):
        box = turned(50, 40, 30, 12, math.radians(degrees), 100, 100)
        again = read(write([box]))
        assert boxes.iou(np.array([box]), np.array(again))[0, 0] > 0.9
        assert box[2] * box[3] == pytest.approx(0.036)


def test_a_clockwise_turn_is_a_positive_angle_as_the_projects_boxes_have_it():
    assert turned(50, 50, 40, 10, math.radians(30), 100, 100)[4] == pytest.approx(30)


def test_corners_in_any_order_make_the_same_upright_box():
    assert upright((30, 40, 10, 20), 100, 100) == upright((10, 20, 30, 40), 100, 100) == (0.2, 0.3, 0.2, 0.2, 0.0)


def test_the_corners_of_a_box_lead_back_to_it():
    box = np.array([[0.4, 0.5, 0.3, 0.1, 25.0]])
    corners = [(float(x), float(y)) for x, y in boxes.corners(box, 200, 200)[0]]
    assert tilted(corners, 200, 200) == pytest.approx(tuple(box[0]))


def test_a_tilted_box_of_a_long_image_is_held_whole():
    corners = [(50, 10), (90, 30), (80, 50), (40, 30)]
    held = boxes.polygons(np.array([tilted(corners, 400, 100)]))[0].buffer(1e-9)
    assert all(held.covers(shapely.Point(x / 400, y / 100)) for x, y in corners)


def test_three_corners_and_corners_in_a_line_are_refused():
    with pytest.raises(ValueError, match="four corners, 3"):
        tilted([(0, 0), (1, 0), (1, 1)], 10, 10)
    with pytest.raises(ValueError, match="no area"):
        tilted([(0, 0), (1, 1), (2, 2), (3, 3)], 10, 10)
