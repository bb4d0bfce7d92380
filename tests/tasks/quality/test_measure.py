"""The figures of a verifier: counts, exact intervals, targets, and what a blunt verifier scores."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Judge, Pair, State, Verdict
from tasks.quality import document
from tasks.quality.intervals import clopper_pearson
from tasks.quality.made_chips import made_chips
from tasks.quality.measure import figures, outcomes
from tasks.quality.suites import suites

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("events", "cases", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (0, 3000, 0.0, 0.00123),
    ],
)
def test_intervals_are_those_of_the_tables(events: int, cases: int, low: float, high: float) -> None:
    assert clopper_pearson(events, cases) == pytest.approx((low, high), abs=5e-5)


def test_nothing_is_known_of_a_share_of_nothing_and_more_events_than_cases_are_refused() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="4 events in 3 cases"):
        clopper_pearson(4, 3)


def always(state: State) -> Judge:
    def judge(facts: ChipFacts, pairs: Sequence[Pair]) -> list[Verdict]:
        return [Verdict(state, "it always says so") for _ in pairs]

    return judge


@pytest.mark.parametrize(
    ("state", "met"),
    [
        (SUPPORTED, {"true_contradicted", "decidable_not_checkable", "false_kept_with_unchecked"}),
        (CONTRADICTED, {"false_kept", "false_kept_with_unchecked", "decidable_not_checkable"}),
        (NOT_CHECKABLE, {"false_kept", "true_contradicted", "unknown_decided", "false_kept_with_unchecked"}),
    ],
)
def test_no_verifier_that_always_says_the_same_meets_all_targets(state: State, met: set[str]) -> None:
    cases = suites(made_chips(1))
    totals = figures(outcomes(cases, always(state)))["totals"]
    assert {name for name, one in totals.items() if one["met"]} == met
    assert totals["false_kept"]["cases"] == sum(case.truth is False for case in cases)


def test_failures_of_the_held_out_half_are_not_shown() -> None:
    command = [sys.executable, "-m", "benchmarks.verifier_quality", "--half", "held-out", "--failures", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "held-out half are not shown" in done.stderr and done.stdout == ""


def test_the_tables_have_a_row_for_every_kind_and_say_which_targets_are_missed() -> None:
    cases = suites(made_chips(1))
    found = figures(outcomes(cases, always(SUPPORTED)))
    text = document.sections(found)
    assert all(f"| {case.kind} | {case.suite} |" in text for case in cases)
    assert "**missed**" in text and "| met |" in text
