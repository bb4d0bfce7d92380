"""The suites that measure the verifier are what they say they are."""

from collections import Counter, defaultdict

import pytest

from tasks.quality.cases import COMMON, DEVELOPMENT, HELD_OUT, Case
from tasks.quality.made_chips import EACH, made_chips
from tasks.quality.suites import suites
from tests.tasks.quality.recomputed import holds


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return suites(made_chips(EACH))


def test_every_claim_of_a_true_pair_holds_of_the_chip(cases: list[Case]) -> None:
    for case in cases:
        if case.truth is True:
            assert all(holds(claim, case.facts) for claim in case.claims), (case.kind, case.pair, case.claims)


def test_every_false_pair_contradicts_the_facts_of_the_chip(cases: list[Case]) -> None:
    for case in cases:
        if case.truth is False:
            assert not all(holds(claim, case.facts) for claim in case.claims), (case.kind, case.pair, case.claims)


def test_what_is_not_annotated_is_neither_given_nor_denied(cases: list[Case]) -> None:
    unknown = [case for case in cases if case.truth is None]
    assert len(unknown) > 50
    for case in unknown:
        name = case.claims[0]["label"]
        assert name not in {label.name for label in case.facts.labels}
        assert not any(source.can_deny(name) for source in case.facts.sources.values())


def test_no_pair_about_a_chip_is_both_true_and_false(cases: list[Case]) -> None:
    truths = defaultdict(set)
    for case in cases:
        truths[case.facts.chip_id, case.pair.question, case.pair.answer].add(case.truth)
    assert [said for said, values in truths.items() if len(values) > 1] == []


def test_there_are_thousands_of_both_and_many_of_every_kind_in_both_halves(cases: list[Case]) -> None:
    assert min(Counter(case.truth for case in cases)[truth] for truth in (True, False)) >= 3000
    by_kind = Counter((case.suite, case.kind, case.half) for case in cases)
    for suite, kind in {(suite, kind) for suite, kind, _ in by_kind}:
        assert min(by_kind[suite, kind, half] for half in (DEVELOPMENT, HELD_OUT)) >= 3, (suite, kind)
    corruptions = {case.kind for case in cases if case.truth is False and case.suite == "facts"}
    assert len(corruptions) >= 20


def test_the_development_half_shows_no_longer_wording_of_the_held_out_half_alone(cases: list[Case]) -> None:
    shown = {wording for case in cases if case.half == DEVELOPMENT for wording in case.wordings}
    unseen = [case for case in cases if case.half == HELD_OUT]
    for case in unseen:
        assert any(wording not in shown and len(wording.split()) > COMMON for wording in case.wordings)
    assert 0.3 < len(unseen) / len(cases) < 0.7


def test_same_chips_give_the_same_cases() -> None:
    def said() -> list[str]:
        return [f"{case.facts.chip_id} {case.kind} {case.pair}" for case in suites(made_chips(1))]

    assert said() == said()


def test_no_gap_of_a_wording_is_left_open(cases: list[Case]) -> None:
    assert [case.pair for case in cases if "{" in case.pair.question + case.pair.answer] == []
