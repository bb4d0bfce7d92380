"""How often answers are asked for."""

import pytest

from tasks.generators.templates.balance import SAMPLE, chances, count, is_sampled
from tasks.generators.templates.registry import KINDS
from tests.fixtures.chip_facts import chips


def test_the_common_answer_is_asked_for_as_often_as_the_rare_one() -> None:
    found = chances({"yes": 900, "no": 100}, {"yes": 900, "no": 100})
    assert 900 * found["yes"] == pytest.approx(100, rel=0.02) and found["no"] == 1


def test_an_answer_that_no_chip_has_leaves_the_other_unasked() -> None:
    assert chances({"yes": 1000}, {"yes": 1000, "no": 1000})["yes"] < 0.001
    assert chances({"water": 1000}, {"water": 1000})["water"] < 0.01


def test_many_subjects_that_few_chips_have_do_not_add_up_to_a_rule() -> None:
    # A hundred pairs of classes that always touch, and none that never does.
    asked = 100 * 2 * chances({"yes": 2}, {"yes": 200})["yes"]
    assert asked < 2
    assert chances({"yes": 2}, {"yes": 200, "no": 200})["yes"] > 0.1


def test_of_many_answers_none_is_asked_for_more_often_than_the_rarest_that_is_no_exception() -> None:
    counts = {"a": 500, "b": 300, "c": 150, "d": 2}
    asked = {answer: counts[answer] * chance for answer, chance in chances(counts, counts).items()}
    assert asked["a"] == pytest.approx(asked["c"], rel=0.02) and asked["b"] == pytest.approx(asked["c"], rel=0.02)
    assert asked["d"] == 2
    nearly_one = chances({"winter": 180, "spring": 3}, {"winter": 180, "spring": 3})
    assert 180 * nearly_one["winter"] < 5 and nearly_one["spring"] == 1


def test_the_same_chips_give_the_same_balance_and_one_in_a_hundred_hardly_another() -> None:
    kinds = [KINDS["presence"], KINDS["comparison"]]
    some = list(chips(1000))
    first = count(some, kinds, 5)
    assert count(some, kinds, 5) == first
    other = count([*some[:990], *chips(10, seed=99)], kinds, 5)
    for key, answers in first.chances.items():
        for answer, chance in answers.items():
            assert other.chance(*key, answer) == pytest.approx(chance, abs=0.1)


def test_of_a_large_part_a_fixed_sample_is_counted() -> None:
    names = [f"chip-{number}" for number in range(20_000)]
    sampled = [name for name in names if is_sampled(name, 200_000)]
    assert len(sampled) == pytest.approx(20_000 * SAMPLE / 200_000, rel=0.2)
    assert all(is_sampled(name, 100_000) for name in sampled) and all(is_sampled(name, SAMPLE) for name in names)


def test_the_record_of_a_balance_names_kinds_subjects_and_answers() -> None:
    record = count(list(chips(100)), [KINDS["presence"]], 5).as_json()
    assert set(record) == {"kinds", "chances"} and record["kinds"]["presence"] > 0.5
    assert set(record["chances"]["presence"]["water"]) == {"yes", "no"}
