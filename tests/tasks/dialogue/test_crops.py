"""tasks/dialogue/crops.py: what is known of a square of a chip is what a look at that square would find."""

import numpy as np
import pytest

from tasks.dialogue.crops import TURNS, Crop, draw, facts_of
from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.earth.label_masks import SIDE, pack


def chip_with(plane: np.ndarray) -> ChipFacts:
    """A chip with water in some cells, and a tag of what lies around it."""
    water = Label("water", "map", "area", float(plane.mean()), 3, "north", boxes=((0, 0, 1, 0.5),), mask=pack(plane))
    port = Label("port", "tags", "tag", None, None, None)
    sources = {
        "map": SourceInfo("map", "raster", True, ("water", "ice")),
        "tags": SourceInfo("tags", "tag", True, ("port",)),
    }
    return ChipFacts("chip", "sentinel-2", (water, port), sources, country="Chad", side=640.0, pixels={"ndvi": {}})


def test_a_label_is_measured_again_in_a_crop_and_nothing_else_of_the_chip_is_kept() -> None:
    plane = np.zeros((SIDE, SIDE), bool)
    plane[: SIDE // 4] = True  # the northern quarter
    found = facts_of(chip_with(plane), Crop(0, 0, SIDE // 2), "crop", 0.01)
    (water,) = found.labels
    assert (water.fraction, water.position, water.count, water.boxes) == (0.5, "north", None, ())
    assert list(found.sources) == ["map"] and found.side == 320.0
    assert (found.chip_id, found.country, found.taken, found.pixels) == ("crop", None, None, {})


def test_directions_of_a_turned_crop_are_those_that_the_turned_image_shows() -> None:
    plane = np.zeros((SIDE, SIDE), bool)
    plane[: SIDE // 4] = True
    positions = [
        facts_of(chip_with(plane), Crop(0, 0, SIDE, turn), "crop", 0.01).labels[0].position for turn in range(8)
    ]
    # A quarter to the left takes north to west; a mirror changes west and east.
    assert positions == ["north", "west", "south", "east", "north", "east", "south", "west"]


def test_a_label_that_lies_outside_a_crop_is_not_there_and_its_source_still_denies_it() -> None:
    plane = np.zeros((SIDE, SIDE), bool)
    plane[:4] = True
    found = facts_of(chip_with(plane), Crop(0, SIDE // 2, SIDE // 2), "crop", 0.01)
    assert found.labels == () and found.sources["map"].can_deny("water")


@pytest.mark.parametrize("turn", range(TURNS))
def test_pixels_and_cells_are_cut_and_turned_alike(turn: int) -> None:
    cells = np.random.default_rng(turn).random((SIDE, SIDE))
    crop = Crop(5, 9, 17, turn)
    assert np.array_equal(crop.cut(np.kron(cells, np.ones((2, 2)))), np.kron(crop.cut(cells), np.ones((2, 2))))


def test_a_chip_whose_pixels_do_not_divide_into_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="100 x 100 pixels do not divide"):
        Crop(0, 0, SIDE).cut(np.zeros((100, 100)))


def test_crops_lie_inside_the_chip_and_are_the_same_for_the_same_seed() -> None:
    drawn = [draw("chip", number, 3, 12) for number in range(200)]
    assert drawn == [draw("chip", number, 3, 12) for number in range(200)] and len(set(drawn)) > 100
    assert all(one.side >= 12 and max(one.left, one.top) + one.side <= SIDE for one in drawn)
