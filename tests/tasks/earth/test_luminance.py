"""Cloud by luminance in images that have no mask."""

import numpy as np
import pytest

from tasks.earth.luminance import LuminanceParams, cloud, planes

PARAMS = LuminanceParams()


def image(colour: tuple[int, int, int], side: int = 60) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8)[:, None, None], (3, side, side)).copy()


@pytest.mark.parametrize(
    ("colour", "is_cloud"),
    [
        ((250, 250, 252), True),
        ((180, 182, 190), True),
        ((95, 98, 100), False),  # haze, concrete
        ((240, 210, 150), False),  # sand has a colour
        ((60, 90, 40), False),
        ((255, 255, 255), True),
        ((0, 0, 0), False),
    ],
)
def test_cloud_is_bright_and_without_colour(colour: tuple[int, int, int], is_cloud: bool) -> None:
    assert (cloud(*image(colour), 10.0, PARAMS) == is_cloud).all()


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 20, 21])
@pytest.mark.parametrize("gsd", [10.0, 20.0, 8.6])
def test_a_patch_narrower_than_a_cloud_is_none_and_a_wider_one_is_cloud_as_a_whole(side: int, gsd: float) -> None:
    scene = image((60, 90, 40))
    scene[:, 10 : 10 + side, 20 : 20 + side] = 240
    found = cloud(*scene, gsd, PARAMS)
    inside = np.zeros((60, 60), bool)
    inside[10 : 10 + side, 20 : 20 + side] = side >= round(60 / gsd)
    assert (found == inside).all()


def test_a_road_is_no_cloud_however_long_and_cloud_at_the_edge_of_the_image_is() -> None:
    scene = image((60, 90, 40))
    scene[:, 30:33] = 240
    assert not cloud(*scene, 10.0, PARAMS).any()
    scene = image((60, 90, 40))
    scene[:, :4] = 240
    assert cloud(*scene, 10.0, PARAMS)[:4].all()


def test_pictures_of_drones_are_smaller_than_any_cloud_and_white_roofs_in_them_are_none() -> None:
    scene = image((60, 90, 40), 200)
    scene[:, 50:150, 50:150] = 240
    assert not cloud(*scene, 0.05, PARAMS).any()


def test_fill_is_no_data_and_never_cloud_and_other_planes_stay_unmeasured() -> None:
    scene = image((250, 250, 250))
    scene[:, :, :15] = 0
    scene[:, :, 45:] = 255
    found, data = planes(*scene, 10.0, LuminanceParams(fill=[0, 255]))
    assert list(found) == ["cloud"]
    assert data.mean() == 0.5 and (found["cloud"] == data).all()
