"""Both suites over the same chips, so many cases of each kind that no kind outweighs the others."""

from collections import defaultdict
from collections.abc import Iterable

from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash
from tasks.quality import suite_facts, suite_wording
from tasks.quality.cases import Case

MOST = 240
"""Cases of one kind, in both halves together."""


def suites(chips: Iterable[ChipFacts], most: int = MOST) -> list[Case]:
    """Cases of both suites: of each suite, kind and truth up to `most`, chosen by a hash of what they say."""
    several = list(chips)
    groups: dict[tuple[str, str, bool | None], list[Case]] = defaultdict(list)
    seen: set[tuple[str, str, str, str]] = set()
    for case in [*suite_facts.suite(several), *suite_wording.suite(several)]:
        key = (case.kind, case.facts.chip_id, case.pair.question, case.pair.answer)
        if key not in seen:
            seen.add(key)
            groups[case.suite, case.kind, case.truth].append(case)
    return [case for name in sorted(groups, key=str) for case in sorted(groups[name], key=_chance)[:most]]


def _chance(case: Case) -> int:
    return stable_hash(f"{case.facts.chip_id}/{case.pair.question}/{case.pair.answer}/{case.kind}")
