from datetime import UTC, datetime

import numpy as np
import pystac
import pytest
import shapely

from tasks.core.errors import SceneError
from tasks.earth.label_dates import Interval, fitting, joined
from tasks.earth.label_sources import footprint

PLACE = shapely.box(14, 52, 15, 53)


def item(**properties: str) -> pystac.Item:
    found = pystac.Item.from_dict(
        {
            "type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": None, "links": [], "assets": {},
            "properties": {"datetime": None, "start_datetime": "2020-01-01", "end_datetime": "2020-01-02"} | properties,
        }
    )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-12-31T23:59:59Z"}, "2020"),
        ({"datetime": "2021-01-01T00:00:00Z", "start_datetime": None, "end_datetime": None}, "2021"),
        ({"datetime": "2021-06-30T10:00:00Z", "start_datetime": None, "end_datetime": None}, "2021-06-30"),
        ({"start_datetime": "2020-12-31T00:00:00Z", "end_datetime": "2020-01-01T00:00:00Z"}, "2020"),
        ({"start_datetime": "2000-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}, "2000/9999"),
    ],
)
def test_the_time_of_an_item_is_said_as_short_as_it_can_be(properties, text) -> None:
    assert str(Interval.of_item(item(**properties))) == text


def test_of_labels_on_one_another_the_nearest_in_time_hold_and_of_two_as_near_the_later() -> None:
    dates = [Interval.of_text(text) for text in ("2018", "2020", "2022")]
    places = np.array([PLACE] * 3)
    for year, best in ((2017, 0), (2020, 1), (2030, 2)):
        assert fitting(places, dates, datetime(year, 6, 1, tzinfo=UTC)) == [best]
    assert fitting(places, [*dates[:2], None], None) == [1]


def test_neighbours_of_another_time_stay() -> None:
    places = np.array([PLACE, shapely.box(15, 52, 16, 53), shapely.box(14, 52, 16, 53)])
    dates = [Interval.of_text(text) for text in ("2019", "2020", "2015")]
    assert sorted(fitting(places, dates, datetime(2020, 6, 1))) == [0, 1]


def test_several_times_are_one_from_the_first_to_the_last() -> None:
    assert joined([Interval.of_text("2021"), None, Interval.of_text("2019")]) == "2019/2021"
    assert joined([None]) is None


@pytest.mark.parametrize(
    ("geometry", "bbox", "bounds"),
    [
        (None, [14, 52, 15, 53], (14, 52, 15, 53)),
        (None, [14, 52, 0, 15, 53, 900], (14, 52, 15, 53)),
        (None, [179, 52, -179, 53], (-180, 52, 180, 53)),
        (
            {"type": "Polygon", "coordinates": [[[14, 52, 9], [15, 52, 9], [15, 53, 9], [14, 52, 9]]]},
            None,
            (14, 52, 15, 53),
        ),
        ({"type": "Polygon", "coordinates": []}, [14, 52, 15, 53], (14, 52, 15, 53)),
    ],
)
def test_a_label_item_lies_where_its_geometry_or_its_box_says(geometry, bbox, bounds) -> None:
    found = item()
    found.geometry, found.bbox = geometry, bbox
    assert footprint(found).bounds == pytest.approx(bounds)


@pytest.mark.parametrize(("geometry", "bbox"), [(None, None), ({"type": "Blob"}, None), (None, ["a", 1, 2, 3])])
def test_a_label_item_that_lies_nowhere_is_named(geometry, bbox) -> None:
    found = item()
    found.geometry, found.bbox = geometry, bbox
    with pytest.raises(SceneError, match="label item x"):
        footprint(found)
