"""Pairs about one chip against each other."""

import pytest

from tasks.dialogue.consistency import contradictions
from tasks.dialogue.pairs import NOT_CHECKABLE, SUPPORTED, Judged, Pair, Verdict
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tests.fixtures.chip_facts import chips


def judged(pair: Pair, state: str = SUPPORTED) -> Judged:
    return Judged(pair, Verdict(state))  # type: ignore[arg-type]


def said(kind: str, question: str, answer: str, *names: str) -> Pair:
    return Pair(question, answer, kind, names)


THERE = said("presence", "Is there any water in this image?", "yes", "water")
NONE = said("presence", "Is there any water in this image?", "No, there is no water.", "water")
DENIED = said("absence", "Is there no water in this image?", "yes", "water")
NOWHERE = said("nearby", "Is there any water in or around this image?", "no", "water")
LITTLE = said("share", "How much of this image is water?", "less than a quarter", "water")
MUCH = said("share", "About what percentage of this image is water?", "60%", "water")
FOREST = said("share", "How much of this image is forest?", "more than three quarters", "forest")
MORE = said("comparison", "Is there more water than forest in this image?", "yes", "water", "forest")
LESS = said("comparison", "Is there less water than forest in this image?", "yes", "forest", "water")
WHICH = said("comparison", "Which covers more of this image, water or forest?", "forest", "forest", "water")
MAIN = said("scene-class", "What covers the largest part of this image?", "forest", "forest")
MAIN_WATER = said("scene-class", "What is the main cover?", "water", "water")
LIST = said("list", "Which kinds of cover does this image show, the largest first?", "forest, scrub", "forest", "scrub")
COUNT = said("count", "How many mapped areas of water does this image show?", "3", "water")
PLACE = said("position", "Where in this image is the water?", "north", "water")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (THERE, NONE), (THERE, DENIED), (THERE, NOWHERE), (COUNT, NONE), (PLACE, DENIED), (MUCH, NONE), (LITTLE, MUCH),
        (MORE, LESS), (MORE, WHICH), (MORE, MAIN), (FOREST, MAIN_WATER), (MAIN, MAIN_WATER), (MUCH, LIST),
        (NOWHERE, LIST.__class__("Which kinds of cover are in this image?", "water", "multi-label", ("water",))),
    ],
)  # fmt: skip
def test_two_pairs_that_cannot_both_be_right_are_found(one: Pair, other: Pair) -> None:
    pairs = [judged(one), judged(said("season", "In which season was it taken?", "summer")), judged(other)]
    if {one, other} == {FOREST, MAIN_WATER}:
        pairs.insert(0, judged(LITTLE))
    found = contradictions(pairs)
    assert found and all(fault.reason == "consistency" and fault.detail for fault in found.values())
    assert not any(pairs[place].pair.question_type == "season" for place in found)


def test_pairs_that_agree_are_left_alone() -> None:
    agree = [THERE, COUNT, LITTLE, PLACE, LESS, WHICH, MAIN, FOREST]
    assert contradictions([judged(pair) for pair in agree]) == {}


def test_of_two_the_one_that_could_not_be_checked_goes_and_else_both() -> None:
    assert list(contradictions([judged(THERE), judged(NONE, NOT_CHECKABLE)])) == [1]
    assert list(contradictions([judged(THERE, NOT_CHECKABLE), judged(NONE)])) == [0]
    assert sorted(contradictions([judged(THERE), judged(NONE)])) == [0, 1]


def test_templates_never_contradict_themselves() -> None:
    writer = TemplateGenerator(Choice(12, short=0.5))
    for facts in chips(500, 5):
        assert contradictions([judged(pair) for pair in writer.write(facts)]) == {}
