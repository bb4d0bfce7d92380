"""The country that a place lies in."""

import pytest

from tasks.earth.countries import all_countries, country_at, in_a_sentence


@pytest.mark.parametrize(
    ("place", "country"),
    [
        ((12.6, 52.49), "Germany"),
        ((-75.62, 37.67), "United States of America"),
        ((119.22, 5.38), "Malaysia"),
        ((100.0, 15.0), "Thailand"),
        ((179.2, -16.6), "Fiji"),
        ((-179.95, -16.85), "Fiji"),
        ((25.0, 89.99), None),
        ((0.0, -89.9), "Antarctica"),
        ((8.0, 49.0), None),  # 4 km from the Rhine border
        ((-30.0, 40.0), None),  # the Atlantic
        ((21.5, -4.0), "Democratic Republic of the Congo"),
    ],
)
def test_a_place_far_from_every_border_lies_in_one_country_and_any_other_in_none(place, country) -> None:
    assert country_at(*place) == country


def test_no_name_is_cut_short() -> None:
    assert len(all_countries()) > 230 and not [name for name in all_countries() if "." in name]


def test_a_country_stands_in_a_sentence_as_people_write_it() -> None:
    assert in_a_sentence("Netherlands") == "the Netherlands" and in_a_sentence("Kenya") == "Kenya"
    assert in_a_sentence("United States of America") == "the United States of America"
    assert in_a_sentence("Solomon Islands") == "the Solomon Islands" and in_a_sentence("Iceland") == "Iceland"
