"""What a verifier makes of the suites: counts per kind with their intervals, totals beside the targets."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Judge, Verdict
from tasks.quality.cases import Case
from tasks.quality.intervals import clopper_pearson

TARGETS: Mapping[str, tuple[str, float | None]] = {
    "false_kept": ("false pairs kept", 0.01),
    "false_kept_with_unchecked": ("false pairs kept by a policy that keeps what cannot be checked", None),
    "true_contradicted": ("true pairs contradicted", 0.001),
    "decidable_not_checkable": ("pairs that labels can decide, not checkable", 0.05),
    "unknown_decided": ("pairs that nobody can decide, decided", 0.01),
}
"""Figure -> what it is a share of, and the most it may be; None: it depends on the policy, and is there to be known."""


@dataclass(frozen=True)
class Outcome:
    """A case, and what the verifier said of it."""

    case: Case
    verdict: Verdict

    @property
    def wrong(self) -> bool:
        """Whether a reader of the figures would count it against the verifier."""
        state, case = self.verdict.state, self.case
        if case.truth is None:
            return state != NOT_CHECKABLE
        if case.truth:
            return state == CONTRADICTED or (case.decidable and state == NOT_CHECKABLE)
        return state == SUPPORTED or (case.decidable and state == NOT_CHECKABLE)


def outcomes(cases: Iterable[Case], judge: Judge) -> list[Outcome]:
    """What `judge` says of every case; it is given the cases of one chip together, as pairs alone."""
    by_chip: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_chip[case.facts.chip_id].append(case)
    found = []
    for several in by_chip.values():
        verdicts = judge(several[0].facts, [case.pair for case in several])
        found += [Outcome(case, verdict) for case, verdict in zip(several, verdicts, strict=True)]
    return found


def figures(found: Sequence[Outcome]) -> dict[str, Any]:
    """Counts per suite, truth and kind, and the totals, as JSON.

    Returns:
        `{"kinds": [{suite, truth, kind, cases, supported, not_checkable, contradicted, wordings,
        wrong: {share, low, high}}],
        "totals": {figure: {what, events, cases, share, low, high, target, met}}}`.
    """
    groups: dict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for one in found:
        groups[one.case.suite, str(one.case.truth), one.case.kind].append(one)
    return {"kinds": [_kind(*key, groups[key]) for key in sorted(groups)], "totals": _totals(found)}


def _states(found: Sequence[Outcome]) -> dict[str, int]:
    states = [one.verdict.state for one in found]
    return {
        "supported": states.count(SUPPORTED),
        "not_checkable": states.count(NOT_CHECKABLE),
        "contradicted": states.count(CONTRADICTED),
    }


def _kind(suite: str, truth: str, kind: str, found: Sequence[Outcome]) -> dict[str, Any]:
    counts = _states(found)
    bad = {"False": "supported", "True": "contradicted"}.get(truth)
    events = counts[bad] if bad else len(found) - counts["not_checkable"]
    names = {"True": True, "False": False, "None": None}
    row = {"suite": suite, "truth": names[truth], "kind": kind, "cases": len(found), **counts}
    row["wordings"] = len({one.case.wordings for one in found})
    return {**row, "wrong": _share(events, len(found))}


def _share(events: int, cases: int) -> dict[str, Any]:
    low, high = clopper_pearson(events, cases)
    share = events / cases if cases else 0.0
    return {"events": events, "cases": cases, "share": round(share, 6), "low": round(low, 6), "high": round(high, 6)}


def _totals(found: Sequence[Outcome]) -> dict[str, Any]:
    false = _states([one for one in found if one.case.truth is False])
    true = _states([one for one in found if one.case.truth is True])
    decidable = _states([one for one in found if one.case.truth is not None and one.case.decidable])
    unknown = _states([one for one in found if one.case.truth is None])
    events = {
        "false_kept": (false["supported"], false),
        "false_kept_with_unchecked": (false["supported"] + false["not_checkable"], false),
        "true_contradicted": (true["contradicted"], true),
        "decidable_not_checkable": (decidable["not_checkable"], decidable),
        "unknown_decided": (unknown["supported"] + unknown["contradicted"], unknown),
    }
    out = {}
    for name, (count, states) in events.items():
        what, target = TARGETS[name]
        shares = _share(count, sum(states.values()))
        out[name] = {"what": what, **shares, "target": target, "met": target is None or shares["share"] <= target}
    return out
