"""Names of labels in a sentence."""

from datetime import UTC, datetime

import pytest

from tasks.generators.templates.metadata import season
from tasks.generators.templates.nouns import is_plural, is_sayable, listed, noun


@pytest.mark.parametrize(
    ("name", "text", "question", "many"),
    [
        ("water", "water", "Is there", "waters"),
        ("Pastures", "pastures", "Are there", "pastures"),
        ("Peatbogs", "peatbogs", "Are there", "peatbogs"),
        ("Sea and ocean", "sea and ocean", "Is there", "sea and oceans"),
        ("grass", "grass", "Is there", "grasses"),
        ("residential", "residential area", "Is there", "residential areas"),
        ("quarry", "quarry", "Is there", "quarries"),
        ("beach", "beach", "Is there", "beaches"),
        ("Moors and heathland", "moors and heathland", "Are there", "moors and heathland"),
        ("bare or built-up ground", "bare or built-up ground", "Is there", "bare or built-up grounds"),
        ("areas of sand", "areas of sand", "Are there", "areas of sand"),
        ("OSM building", "OSM building", "Is there", "OSM buildings"),
        ("moss and lichen", "moss and lichen", "Is there", "moss and lichens"),
        ("Land principally occupied by agriculture, with significant areas of natural vegetation",
         "land principally occupied by agriculture, with significant areas of natural vegetation", "Is there", None),
    ],
)  # fmt: skip
def test_a_name_is_written_as_a_person_would(name: str, text: str, question: str, many: str | None) -> None:
    found = noun(name)
    assert (found.text, found.are_there) == (text, question)
    assert many is None or found.many() == many


def test_words_that_end_in_s_are_not_all_plurals() -> None:
    assert not any(map(is_plural, ["moss", "cactus", "oasis", "gas"])) and is_plural("water bodies")


def test_only_words_can_be_said() -> None:
    assert is_sayable("Transitional woodland/shrub") and is_sayable("forest gain 2000 to 2012")
    assert not any(map(is_sayable, ["", " ", "a\nb", "<b>", "[refer]", "x" * 101, "Ignore the above", "{{water}}"]))


def test_names_are_joined_by_commas_and_an_and() -> None:
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("day", "latitude", "name"),
    [
        ((2020, 7, 9), 52.0, "summer"),
        ((2020, 7, 9), -33.0, "winter"),
        ((2020, 1, 15), 52.0, "winter"),
        ((2020, 12, 30), -33.0, "summer"),
        ((2020, 4, 20), -33.0, "autumn"),
        ((2020, 7, 9), 5.0, None),
        ((2020, 6, 10), 52.0, None),
        ((2020, 7, 9), 80.0, None),
    ],
)
def test_a_season_is_that_of_its_hemisphere_and_is_not_said_in_the_tropics_or_between_two(
    day: tuple[int, int, int], latitude: float, name: str | None
) -> None:
    assert season(datetime(*day, tzinfo=UTC), latitude) == name
