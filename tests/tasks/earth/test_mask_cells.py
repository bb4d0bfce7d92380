"""Masks as numbers: the same cells as in planes."""

import numpy as np
import pytest
from scipy import ndimage

from tasks.earth.label_masks import SIDE
from tasks.earth.mask_cells import cells_of, centre_of, grown, grown_over_sides

PLANES = [np.random.default_rng(seed).random((SIDE, SIDE)) < share for seed, share in enumerate((0.01, 0.3, 0.9))]


@pytest.mark.parametrize("plane", PLANES, ids=["few", "some", "most"])
def test_cells_grow_as_planes_are_dilated(plane: np.ndarray) -> None:
    assert grown(cells_of(plane)) == cells_of(ndimage.binary_dilation(plane, np.ones((3, 3))))
    assert grown_over_sides(cells_of(plane)) == cells_of(ndimage.binary_dilation(plane))


@pytest.mark.parametrize("plane", PLANES, ids=["few", "some", "most"])
def test_the_centre_of_cells_is_that_of_their_plane(plane: np.ndarray) -> None:
    y, x = ndimage.center_of_mass(plane)
    assert centre_of(cells_of(plane)) == pytest.approx(((x + 0.5) / SIDE, (y + 0.5) / SIDE))
