"""What a search asks for, as the STAC API means it."""

from typing import Any

import pytest
from pystac_client import ItemSearch

from tasks.earth.conditions import Query, instant, interval, meets, server_interval
from tests.fixtures.stac_server import item


def query(**changes: Any) -> Query:
    return Query(**({"collection": "s2", "bbox": None, "datetime": None, "max_cloud": None} | changes))


@pytest.mark.parametrize(
    "text",
    [
        "2020", "2020-06", "2020-12", "2020-02", "2020-06-10", "2020-06-01/2020-06-10", "2019/2020", "2019-11/2020-02",
        "2020-06-10T10:00:00Z", "2020-06-10T10:00:00Z/2020-06-11T00:00:00Z", "2020-06-10/..", "../2020-06-10",
    ],
)  # fmt: skip
def test_dates_are_read_as_pystac_client_reads_them(text: str) -> None:
    theirs = str(ItemSearch("https://example.com", method="POST")._format_datetime(text))
    start, end = interval(text)
    first, _, last = theirs.partition("/")
    if first != "..":
        assert start == instant(first)
    if (last or first) != "..":
        # Its end is the last second of the day; ours its last instant.
        assert 0 <= (end - instant(last or first)).total_seconds() < 1


def test_an_interval_goes_to_the_server_as_two_instants_so_that_it_cannot_be_read_otherwise() -> None:
    assert server_interval("2020-06-01/2020-06-10") == "2020-06-01T00:00:00.000Z/2020-06-10T23:59:59.999Z"
    assert server_interval("2020-06/..") == "2020-06-01T00:00:00.000Z/.."


@pytest.mark.parametrize("text", ["June", "2020-13", "2020-06-31", "2021/2020", "..", "2020/2021/2022", ""])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a date|before it begins|month|day"):
        interval(text)


@pytest.mark.parametrize(
    ("properties", "asked", "kept"),
    [
        ({"datetime": "2020-06-10T10:00:00Z"}, "2020-06-01/2020-06-10", True),
        ({"datetime": "2020-06-10T23:59:59.5Z"}, "2020-06-10", True),
        ({"datetime": "2020-06-11T00:00:00Z"}, "2020-06-10", False),
        ({"datetime": "2020-06-11T01:00:00+02:00"}, "2020-06-10", True),
        ({"datetime": "2020-06-30T23:59:59Z"}, "2020-06", True),
        ({"datetime": None, "start_datetime": "2020-05-20", "end_datetime": "2020-06-20"}, "2020-06", True),
        ({"datetime": None, "start_datetime": "2020-05-20", "end_datetime": "2020-05-30"}, "2020-06", False),
        ({"datetime": None, "start_datetime": "2020-01-01", "end_datetime": "2021-01-01"}, "2020-06-10", True),
    ],
)
def test_an_item_is_kept_when_its_instant_or_its_interval_meets_what_is_asked(
    properties: dict, asked: str, kept: bool
) -> None:
    assert meets(item(**properties), query(datetime=asked)) is kept


@pytest.mark.parametrize(
    ("bbox", "area", "kept"),
    [
        ([179.9, -17, -179.9, -16], [176, -18, 180, -15], True),
        ([179.9, -17, -179.9, -16], [-180, -18, -178, -15], True),
        ([179.9, -17, -179.9, -16], [0, -18, 10, -15], False),
        ([170, -17, 175, -16], [174, -18, -178, -15], True),
        ([-175, -17, -170, -16], [174, -18, -178, -15], False),
        ([179.5, -17, 180.5, -16], [-180, -18, -179.8, -15], True),
        ([12, 52, 0, 13, 53, 100], [12.5, 52.5, 12.6, 52.6], True),
        ([12, 52, 0, 13, 53, 100], [13.5, 52.5, 13.6, 52.6], False),
        (None, [12.5, 52.5, 12.6, 52.6], True),
        (None, [13.5, 52.5, 13.6, 52.6], False),
    ],
)
def test_boxes_touch_across_180_degrees_with_heights_and_by_geometry_alone(
    bbox: list | None, area: list, kept: bool
) -> None:
    assert meets(item() | {"bbox": bbox}, query(bbox=area)) is kept


def test_a_scene_in_two_halves_at_180_degrees_does_not_lie_between_them() -> None:
    ends = ([[[179, 0], [180, 0], [180, 1], [179, 0]]], [[[-180, 0], [-179, 0], [-180, 1], [-180, 0]]])
    halves = item() | {"bbox": None, "geometry": {"type": "MultiPolygon", "coordinates": list(ends)}}
    assert meets(halves, query(bbox=[179.5, 0, 179.9, 1])) and not meets(halves, query(bbox=[0, 0, 10, 1]))


@pytest.mark.parametrize(("cloud", "kept"), [(5.0, True), (10, True), (10.1, False), (None, True), (-1, True)])
def test_a_scene_that_does_not_say_how_cloudy_it_is_stays(cloud: float | None, kept: bool) -> None:
    assert meets(item(**{"eo:cloud_cover": cloud}), query(max_cloud=10)) is kept
