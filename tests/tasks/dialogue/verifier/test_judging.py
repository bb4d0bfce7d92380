"""The verifier reads question and answer, and holds what they assert against the facts of a chip."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Pair, Verdict
from tasks.dialogue.verifier import judge
from tasks.earth.label_masks import SIDE, pack

COVER = SourceInfo(
    "esa-worldcover",
    "raster",
    True,
    (
        "tree cover",
        "shrubland",
        "grassland",
        "cropland",
        "built-up",
        "bare ground",
        "snow and ice",
        "water",
        "mangrove",
    ),
)
MAP = SourceInfo("osm", "polygon", False, ("forest", "meadow", "water", "residential"))
LOSS = SourceInfo("hansen", "raster", True, ("forest loss since 2000",), ("forest loss since 2000",))
PAIRS = Path(__file__).with_name("pairs.txt")
"""Pairs of the chip below, each with the verdicts that are right: S supported, C contradicted, U not checkable."""
STATES = {SUPPORTED: "S", CONTRADICTED: "C", NOT_CHECKABLE: "U"}


def mask(x1: float, y1: float, x2: float, y2: float) -> bytes:
    plane = np.zeros((SIDE, SIDE), bool)
    plane[int(y1 * SIDE) : int(y2 * SIDE), int(x1 * SIDE) : int(x2 * SIDE)] = True
    return pack(plane)


def chip() -> ChipFacts:
    """60 % trees in the west, 40 % crops in the east, three mapped meadows; Brandenburg in winter."""
    labels = (
        Label("tree cover", COVER.name, "area", 0.6, None, "west", mask=mask(0, 0, 0.6, 1)),
        Label("cropland", COVER.name, "area", 0.4, None, "east", mask=mask(0.6, 0, 1, 1)),
        Label(
            "meadow",
            MAP.name,
            "area",
            0.15,
            3,
            "north-east",
            boxes=((0.8, 0.0, 1.0, 0.3), (0.65, 0.0, 0.75, 0.2), (0.6, 0.9, 0.7, 1.0)),
            mask=mask(0.7, 0, 1, 0.3),
        ),
    )
    pixels = {
        "ndvi": {"mean": 0.45, "low": 0.2, "high": 0.7, "share": 0.55},
        "vv": {"mean": -9.0, "low": -12.0, "high": -5.0},
    }
    return ChipFacts(
        "chip",
        "sentinel-2",
        labels,
        {source.name: source for source in (COVER, MAP, LOSS)},
        platform="sentinel-2a",
        taken=datetime(2017, 2, 16, 10, 21, tzinfo=UTC),
        longitude=12.6,
        latitude=52.5,
        country="Germany",
        side=640.0,
        pixels=pixels,
    )


def verdict(question: str, answer: str, facts: ChipFacts | None = None) -> Verdict:
    return judge(facts or chip(), [Pair(question, answer, "")])[0]


def rows() -> list[list[str]]:
    return [line.split("|") for line in PAIRS.read_text().splitlines() if line and not line.startswith("#")]


def test_what_people_say_of_a_chip_gets_the_verdict_that_its_labels_give() -> None:
    wrong = []
    for states, question, answer in rows():
        found = verdict(question, answer)
        if STATES[found.state] not in states:
            wrong.append(f"{question} {answer}: {found.state} ({found.reason}), right is {states}")
    assert not wrong, "\n".join(wrong)


def test_the_table_of_pairs_holds_true_ones_and_false_ones() -> None:
    counts = Counter(states for states, _, _ in rows())
    assert counts["S"] > 500 and counts["C"] > 30


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there no tree cover?", "yes"),
        ("Is there an airport?", "Yes"),
        ("Is there tree cover and an airport?", "yes"),
        ("Does cropland cover more than tree cover?", "yes"),
        ("Is there tree cover around the Eiffel tower?", "yes"),
        ("How many patches larger than 5 km2?", "3"),
    ],
)
def test_a_pair_that_the_labels_do_not_support_is_never_believed(question: str, answer: str) -> None:
    assert verdict(question, answer).state != SUPPORTED


def test_a_contradiction_says_what_is_right_and_shows_the_label_row() -> None:
    found = verdict("How much of this image is tree cover?", "About 20 percent.")
    assert found.state == CONTRADICTED and found.reason == "tree cover is 60% of the chip"
    assert found.evidence[0].source == "esa-worldcover" and found.evidence[0].value == {"fraction": 0.6}


def test_absent_and_not_annotated_are_different_answers() -> None:
    assert verdict("Is there any water?", "no").state == SUPPORTED  # a complete source looked for it
    facts = replace(chip(), sources={MAP.name: MAP}, labels=chip().labels[2:])
    assert verdict("Is there any water?", "no", facts).state == NOT_CHECKABLE
    looked_for = replace(MAP, complete=True, looked_for=frozenset(["water"]))
    facts = replace(facts, sources={MAP.name: looked_for})
    assert verdict("Is there any water?", "no", facts).state == SUPPORTED
    assert verdict("Is there any residential area?", "no", facts).state == NOT_CHECKABLE


def test_what_an_incomplete_source_counts_is_a_least_number_unless_the_pair_speaks_of_what_is_mapped() -> None:
    assert verdict("How many meadows are there?", "3").state == NOT_CHECKABLE
    assert verdict("How many meadows are there?", "2").state == CONTRADICTED
    assert verdict("How many mapped meadows are there?", "3").state == SUPPORTED


def test_sources_that_disagree_decide_nothing() -> None:
    facts = replace(chip(), labels=(*chip().labels, Label("water", MAP.name, "area", 0.05, 1, "south")))
    found = verdict("Is there any water?", "yes", facts)
    assert found.state == NOT_CHECKABLE and "disagree" in found.reason


def test_a_dialogue_may_refer_to_what_was_named_before() -> None:
    turns = [
        Pair("Is there any cropland in this image?", "Yes.", ""),
        Pair("Where does it lie?", "In the east.", "", follows=True),
        Pair("And how much of the image does it cover?", "40 percent.", "", follows=True),
        Pair("Where does it lie?", "In the west.", "", follows=True),
    ]
    states = [found.state for found in judge(chip(), turns)]
    assert states == [SUPPORTED, SUPPORTED, SUPPORTED, CONTRADICTED]


def test_a_label_of_ones_own_is_read_by_its_name_and_its_plural() -> None:
    source = SourceInfo("own", "polygon", True, ("greenhouse",))
    label = Label("greenhouse", "own", "area", 0.2, 2, "north", boxes=((0, 0, 0.2, 0.2), (0.5, 0, 0.7, 0.2)))
    facts = ChipFacts("c", "landsat", (label,), {"own": source})
    assert verdict("Are there greenhouses?", "yes", facts).state == SUPPORTED
    assert verdict("How many greenhouses are there?", "two", facts).state == SUPPORTED
    assert verdict("How many greenhouses are there?", "three", facts).state == CONTRADICTED


def test_temperature_is_given_in_celsius_or_kelvin_and_not_without_a_thermal_band() -> None:
    facts = replace(chip(), pixels={"temperature": {"mean": 295.15, "low": 290.0, "high": 300.0}})
    assert verdict("What is the mean surface temperature?", "22 °C", facts).state == SUPPORTED
    assert verdict("What is the mean surface temperature?", "295 K", facts).state == SUPPORTED
    assert verdict("What is the mean surface temperature?", "42 degrees Celsius", facts).state == CONTRADICTED
    cannot = "This cannot be determined from the image."
    assert verdict("What is the mean surface temperature?", cannot, facts).state == CONTRADICTED
    assert verdict("What is the mean surface temperature?", cannot).state == SUPPORTED


def test_seasons_are_those_of_the_hemisphere_and_none_in_the_tropics() -> None:
    question = "In which season was this image taken?"
    assert verdict(question, "summer", replace(chip(), latitude=-33.0)).state == SUPPORTED
    assert verdict(question, "winter", replace(chip(), latitude=-33.0)).state == CONTRADICTED
    assert verdict(question, "winter", replace(chip(), latitude=5.0)).state == NOT_CHECKABLE


@pytest.mark.parametrize("text", ["x" * 3000, "tree cover " * 150, "[[" * 500, "is " * 400, "\ud800"])
def test_hostile_texts_are_not_believed_and_do_not_take_long(text: str) -> None:
    assert verdict(text, "yes").state == NOT_CHECKABLE
    assert verdict("Is there any tree cover?", text).state != SUPPORTED


def test_facts_are_the_same_after_they_were_written() -> None:
    text = chip().to_json()
    assert ChipFacts.from_json(text).to_json() == text
    with pytest.raises(ValueError, match="no facts of a chip"):
        ChipFacts.from_json('{"labels": 3}')
