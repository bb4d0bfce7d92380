from collections import Counter

import pystac
import pytest
from shapely.geometry import box, mapping

from tasks.core.errors import SceneError
from tasks.earth.parts import of_part, part_of_scene


def _scene(west: float, south: float, name: str = "scene") -> pystac.Item:
    shape = box(west, south, west + 1, south + 1)
    when = {"start_datetime": "2024-01-01T00:00:00Z", "end_datetime": "2024-01-01T00:00:00Z"}
    return pystac.Item(name, mapping(shape), list(shape.bounds), None, when)


SCENES = [_scene(west, south, f"{west}/{south}") for west in range(-60, 60, 3) for south in range(-45, 45, 3)]


def test_a_part_that_is_added_takes_its_share_of_the_places_and_moves_none_between_the_others() -> None:
    before = [part_of_scene(scene, ["a", "b", "c"]) for scene in SCENES]
    after = [part_of_scene(scene, ["a", "b", "c", "d"]) for scene in SCENES]
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"d"}
    assert 0.2 < len(moved) / len(SCENES) < 0.3


def test_every_scene_is_in_one_part_and_parts_are_alike_in_size() -> None:
    names = [f"p{number:02d}" for number in range(8)]
    held = [scene.id for name in names for scene in of_part(SCENES, name, names)]
    assert sorted(held) == sorted(scene.id for scene in SCENES)
    sizes = Counter(part_of_scene(scene, names) for scene in SCENES)
    assert max(sizes.values()) < 1.5 * len(SCENES) / len(names)


def test_the_order_of_the_names_does_not_matter() -> None:
    assert [part_of_scene(s, ["a", "b"]) for s in SCENES] == [part_of_scene(s, ["b", "a"]) for s in SCENES]


def test_a_scene_lies_where_its_box_says_where_it_has_no_geometry_and_is_refused_by_name_without_both() -> None:
    names = [f"p{number}" for number in range(16)]
    whole, boxed, lost = _scene(10.2, 50.2), _scene(10.2, 50.2), _scene(10.2, 50.2, "S2_LOST")
    boxed.geometry = None
    lost.geometry = lost.bbox = None
    assert part_of_scene(boxed, names) == part_of_scene(whole, names)
    with pytest.raises(SceneError, match=r"S2_LOST of .* has neither a geometry nor a box"):
        part_of_scene(lost, names)


@pytest.mark.parametrize("shift", [0, 360, -360])
def test_a_scene_across_180_degrees_has_one_place_however_its_halves_are_written(shift: int) -> None:
    names = [f"p{number}" for number in range(16)]
    near = [part_of_scene(_scene(west, 10.2), names) for west in (179.4, 179.8 - 360)]
    halves = _scene(0, 0)
    halves.geometry = mapping(box(179.4, 10.2, 180, 11.2).union(box(-180, 10.2, -179.6, 11.2)))
    beyond = _scene(179.4 + shift, 10.2)
    assert part_of_scene(beyond, names) == near[0] == part_of_scene(halves, names)


def test_all_scenes_around_a_pole_are_in_one_part() -> None:
    names = [f"p{number}" for number in range(16)]
    assert len({part_of_scene(_scene(west, 88.0), names) for west in range(-180, 180, 30)}) == 1
