"""The land mask says of places what the package that it was made of says of them."""

import numpy as np

from tasks.earth.land_mask import is_land

PLACES = {
    (13.4, 52.5): True,  # Berlin
    (-30.0, 40.0): False,  # the Atlantic
    (114.2, 1.0): True,  # Borneo
    (-179.99, 0.0): False,
    (180.0, 0.0): False,
    (0.0, 90.0): False,
    (0.0, -90.0): True,
    (178.0, -17.8): True,  # Fiji
    (4.0, 53.5): False,  # the North Sea
}


def test_places_on_land_and_at_sea_are_told_apart_from_pole_to_pole() -> None:
    longitude, latitude = np.array(list(PLACES)).T
    assert dict(zip(PLACES, is_land(longitude, latitude).tolist(), strict=True)) == PLACES
    assert is_land(np.zeros(0), np.zeros(0)).shape == (0,)
