"""Whether Sentinel-2's offset is in the numbers is decided on pixels; metadata decide only where these cannot."""

from typing import Any

import numpy as np
import pystac
import pytest

from benchmarks.offset_decision import KINDS, measure, numbers, scene
from tasks.earth.assets import Asset
from tasks.earth.offset import ADDED, claims, decide, judge
from tasks.earth.sensors import SENSORS

SENSOR = SENSORS["sentinel-2"]
BASELINE = {"s2:processing_baseline": "05.11"}


def item(**properties: Any) -> pystac.Item:
    when = {"datetime": "2023-06-10T10:00:00Z"}
    return pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": "S2A_TEST", "geometry": None, "bbox": None, "assets": {},
            "links": [], "properties": {**when, **properties}, "collection": "c",
        },
        migrate=False,
    )  # fmt: skip


def asset(offset: float | None) -> Asset:
    return Asset("S2A_TEST", "red", "", scale=1e-4, offset=offset or 0.0, declared_offset=offset)


def test_of_made_scenes_of_every_kind_none_is_decided_wrongly_and_dark_ones_never_are_left_to_metadata() -> None:
    found = measure(scenes=2, seed=5)
    assert sum(counts[2] for counts in found.values()) == 0
    for kind in ("dark water", "forest", "farmland", "cloud over water", "snow and forest"):
        assert found["L2A", kind] == [4, 0, 0]


@pytest.mark.parametrize("kind", ["bright desert", "salt flat", "cloud, all of it", "cirrus over desert"])
def test_over_bright_ground_pixels_do_not_pretend_to_know(kind: str) -> None:
    made, classes = scene(kind, np.random.default_rng(1), "L2A")
    assert {decide({b: numbers(p, added) for b, p in made.items()}, classes)[0] for added in (0, ADDED)} == {
        "ambiguous"
    }


def test_no_data_says_nothing_of_how_dark_a_scene_is() -> None:
    made, classes = scene("bright desert", np.random.default_rng(1), "L2A")
    samples = {band: numbers(plane, 0) for band, plane in made.items()}
    for plane in samples.values():
        plane[:90] = 0
    assert decide(samples, classes)[0] == "ambiguous"
    assert decide({"red": np.zeros((8, 8), np.uint16)}, None)[0] == "ambiguous"


@pytest.mark.parametrize(
    ("properties", "declared", "state", "by"),
    [
        (BASELINE, None, "not applied", "metadata"),
        (BASELINE, -0.1, "not applied", "metadata"),
        ({"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False}, 0.0, "applied", "metadata"),
        ({"sentinel:processing_baseline": "03.01"}, None, "applied", "metadata"),
        ({"created": "2020-08-01T00:00:00Z"}, None, "applied", "metadata"),
        ({**BASELINE, "earthsearch:boa_offset_applied": True}, -0.1, "ambiguous", "nothing"),
        (BASELINE, 0.0, "ambiguous", "nothing"),
        ({}, None, "ambiguous", "nothing"),
    ],
)
def test_where_pixels_cannot_tell_metadata_that_agree_decide_and_others_do_not(
    properties: dict[str, Any], declared: float | None, state: str, by: str
) -> None:
    found = judge("ambiguous", "bright", claims(item(**properties), asset(declared), SENSOR))
    assert (found.state, found.by) == (state, by)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in ("dark water", "forest", "snow and forest")])
def test_pixels_outweigh_metadata_that_say_otherwise_and_the_verdict_says_so(kind: str) -> None:
    made, classes = scene(kind, np.random.default_rng(2), "L2A")
    state, evidence = decide({band: numbers(plane, ADDED) for band, plane in made.items()}, classes)
    said = claims(item(**BASELINE, **{"earthsearch:boa_offset_applied": True}), asset(-0.1), SENSOR)
    found = judge(state, evidence, said)
    assert found.text == "offset not applied, by pixels; metadata disagree"
    assert found.correct(asset(0.0)).offset == pytest.approx(-0.1)
    assert "earthsearch:boa_offset_applied true" in found.claims
