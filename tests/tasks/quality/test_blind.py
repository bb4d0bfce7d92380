"""Blind solvers find what the text gives away, and nothing where it gives nothing away."""

import random

import pytest

from tasks.quality.blind import ByScene, Item, NGrams, Solver, is_closed, marks
from tasks.quality.gist import gist

CLASSES = ("tree cover", "water", "cropland", "grassland", "built-up land")


def questions(side: str, telltale: bool, count: int = 1200) -> list[Item]:
    """Yes/no questions whose answer is drawn by lot; with a telltale, `any` stands in most questions with a yes."""
    draw = random.Random(f"{side}/{telltale}")
    out = []
    for number in range(count):
        answer = draw.choice(("yes", "no"))
        word = "any" if telltale and (answer == "yes") == (draw.random() < 0.8) else "some"
        question = f"Is there {word} {draw.choice(CLASSES)} in this image?"
        out.append(Item.of(f"{side}-{number // 4}", "presence", "radar", draw.choice(CLASSES), question, answer))
    return out


def solvers() -> dict[str, Solver]:
    return {"ngrams": NGrams(3, 4096), "scene": ByScene()}


def test_a_planted_telltale_is_found_and_its_kind_is_marked() -> None:
    found = marks(questions("train", True), questions("test", True), solvers(), 0.05, 200, 0)["presence"]
    assert found["marked"] and found["best"] == "ngrams"
    assert found["ngrams"]["score"] == pytest.approx(0.8, abs=0.05)
    assert found["ngrams"]["low"] > found["ngrams"]["chance"] == 0.5
    assert found["scene"]["lead"] < 0.05


def test_answers_drawn_by_lot_give_no_lead() -> None:
    found = marks(questions("train", False), questions("test", False), solvers(), 0.05, 200, 0)["presence"]
    assert not found["marked"]
    assert all(found[name]["low"] < 0.5 < found[name]["high"] for name in ("ngrams", "scene"))


def test_a_solver_that_always_says_yes_is_at_chance_however_uneven_the_answers_are() -> None:
    uneven = [
        Item.of(str(n), "presence", "radar", "", "Is there water?", "yes" if n % 10 else "no") for n in range(400)
    ]
    found = marks(uneven, uneven, {"scene": ByScene()}, 0.05, 100, 0)["presence"]
    assert found["scene"]["score"] == found["scene"]["chance"] == 0.5


def test_a_scene_that_decides_the_answer_is_found_unless_the_question_asks_for_it() -> None:
    def items(kind: str) -> list[Item]:
        texts = {
            scene: ("What covers most?", scene)
            if kind == "dominant"
            else ("Is it wet?", "yes" if scene == "water" else "no")
            for scene in CLASSES
        }
        return [Item.of(str(n), kind, "radar", CLASSES[n % 5], *texts[CLASSES[n % 5]]) for n in range(200)]

    assert marks(items("wet"), items("wet"), {"scene": ByScene()}, 0.05, 100, 0)["wet"]["scene"]["score"] == 1
    assert not marks(items("dominant"), items("dominant"), {"scene": ByScene()}, 0.05, 100, 0)["dominant"]["marked"]


def test_a_kind_of_many_answers_is_held_against_its_best_constant_one() -> None:
    draw = random.Random(3)
    items = [
        Item.of(str(n), "area", "radar", "", "How large is the lake?", str(7 if draw.random() < 0.3 else n))
        for n in range(300)
    ]
    assert not is_closed({item.answer: 1 for item in items})
    found = marks(items, items, {"scene": ByScene()}, 0.05, 100, 0)["area"]
    assert not found["closed"] and found["scene"]["score"] == found["scene"]["chance"] > 0.25


def test_the_same_questions_give_the_same_marks() -> None:
    first, second = (
        marks(questions("train", True), questions("test", True), solvers(), 0.05, 200, 0) for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    ("question", "answer", "expected"),
    [
        ("Is there any water in this image?", "Yes, there is some water.", "yes"),
        ("Can you see water?", "There isn\u2019t any.", "no"),
        ("Does the scene show water?", "Some water is visible.", "yes"),
        (
            "How much of this image is tree cover?",
            "Tree cover covers less than a quarter of the image.",
            "less than quarter",
        ),
        ("Which covers more, tree cover or water?", "Water.", "the second"),
        ("Which covers more, tree cover or water?", "Tree cover covers more.", "the first"),
        ("Where is the lake?", "In the north-west.", "north west"),
    ],
)
def test_an_answer_comes_to_what_is_new_in_it(question: str, answer: str, expected: str) -> None:
    assert gist(question, answer) == expected
