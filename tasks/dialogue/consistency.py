"""No two pairs about one chip may contradict each other, whatever each of them says of the labels.

The verifier holds each pair against the facts. This holds them against each other: presence against count, share
against share, comparison against both, the dominant class against all, a list against what it leaves out. Pairs that
the verifier could not check are held to the others by this alone.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tasks.dialogue.facts import SHARES
from tasks.dialogue.pairs import SUPPORTED, Judged, Pair
from tasks.dialogue.text_filters import Fault

NEGATED = re.compile(r"\b(?:no|not|absent|missing|free of|lack|lacks|without)\b|n't\b", re.IGNORECASE)
PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent)")
NUMBER = re.compile(r"\d+")
NEAR = 0.05
"""Shares that are rounded to five percent lie this close to what they are of."""
LISTED = 0.1
"""Share from which a class belongs in a list of all that there is."""


@dataclass
class _Said:
    """What the pairs of one chip say, each with the places of the pairs that say it."""

    there: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    gone: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    nowhere: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Neither in the chip nor around it."""
    shares: dict[str, list[tuple[float, float, int]]] = field(default_factory=lambda: defaultdict(list))
    larger: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    first: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The dominant class."""
    all: list[tuple[frozenset[str], int]] = field(default_factory=list)
    """Lists of all that there is."""


def contradictions(judged: Sequence[Judged]) -> dict[int, Fault]:
    """Place of a pair -> what it contradicts. Of two, the one that the verifier could not check; else both."""
    said = _Said()
    for place, one in enumerate(judged):
        _read(one.pair, place, said)
    out: dict[int, Fault] = {}
    for a, b, why in _conflicts(said):
        certain = [judged[place].verdict.state == SUPPORTED for place in (a, b)]
        for place, other, own, its in ((a, b, *certain), (b, a, *reversed(certain))):
            if own <= its:
                pair = judged[other].pair
                out.setdefault(place, Fault("consistency", f"{why}; the other: {pair.question!r} {pair.answer!r}"))
    return out


def _read(pair: Pair, place: int, said: _Said) -> None:
    names, answer = pair.labels_used, pair.answer.lower()
    yes = answer.startswith("yes")
    kind = pair.question_type
    if kind in ("presence", "absence", "nearby") and names and answer.startswith(("yes", "no")):
        present = yes != bool(NEGATED.search(pair.question))
        if kind == "nearby":
            if not present:
                said.nowhere[names[0]].append(place)
        else:
            (said.there if present else said.gone)[names[0]].append(place)
    elif kind == "count" and names and (number := NUMBER.search(answer)):
        (said.there if int(number.group()) else said.gone)[names[0]].append(place)
    elif kind == "share" and names and (bounds := _share(answer)):
        said.shares[names[0]].append((*bounds, place))
        said.there[names[0]].append(place)
    elif kind == "comparison" and len(names) == 2 and (larger := _larger(pair)):
        said.larger[larger].append(place)
    elif kind in ("scene-class", "dominant") and names:
        said.first[names[0]].append(place)
        said.there[names[0]].append(place)
    elif kind in ("list", "multi-label") and names and "around" not in pair.question:
        said.all.append((frozenset(names), place))
        for name in names:
            said.there[name].append(place)
    elif kind in ("position", "referring", "grounding", "region-caption", "size") and names:
        said.there[names[0]].append(place)


def _share(answer: str) -> tuple[float, float] | None:
    """Bounds of a share that is said in words or in percent."""
    low = 0.0
    for high, words in SHARES:
        if words in answer:
            return low, min(high, 1.0)
        low = high
    if found := PERCENT.search(answer):
        value = float(found.group(1)) / 100
        return value - NEAR, value + NEAR
    return None


def _larger(pair: Pair) -> tuple[str, str] | None:
    """(larger, smaller) by the words of the pair: in which order its labels stand in the question, and yes or no."""
    question, answer = pair.question.lower(), pair.answer.lower()
    places = {name: question.find(name.lower()) for name in pair.labels_used}
    if min(places.values()) < 0:
        return None
    first, second = sorted(places, key=lambda name: places[name])
    if answer.startswith(("yes", "no")):
        more = not re.search(r"\b(?:less|smaller|fewer)\b", question)
        return (first, second) if answer.startswith("yes") == more else (second, first)
    found = [name for name in (first, second) if answer.startswith(name.lower())]
    return (found[0], second if found[0] == first else first) if len(found) == 1 else None


def _conflicts(said: _Said) -> Iterator[tuple[int, int, str]]:
    for name, places in said.there.items():
        for absent, where in ((said.gone, "in the chip"), (said.nowhere, "in or around the chip")):
            for other in absent.get(name, ()):
                yield from ((place, other, f"{name} is there, and not {where}") for place in places)
    for name, shares in said.shares.items():
        for number, (low, high, one) in enumerate(shares):
            for low2, high2, two in shares[number + 1 :]:
                if high < low2 or high2 < low:
                    yield one, two, f"{name} has two shares that differ"
    yield from _of_comparisons(said)
    for name, places in said.first.items():
        for rival, rivals in said.first.items():
            if name < rival:
                yield places[0], rivals[0], f"{name} and {rival} both cover the largest part"
    for names, place in said.all:
        for name, shares in said.shares.items():
            if name not in names:
                yield from ((place, other, f"the list leaves out {name}") for low, _, other in shares if low >= LISTED)
        for absent in (said.gone, said.nowhere):
            yield from ((place, o, f"the list holds {n}") for n, others in absent.items() if n in names for o in others)


def _of_comparisons(said: _Said) -> Iterator[tuple[int, int, str]]:
    for (larger, smaller), places in said.larger.items():
        for other in said.larger.get((smaller, larger), ()):
            yield from ((place, other, f"{larger} and {smaller} each are the larger") for place in places)
        for _, high, one in said.shares.get(larger, ()):
            for low, _, two in said.shares.get(smaller, ()):
                if high < low:
                    yield from ((place, where, f"{larger} is not larger") for place in places for where in (one, two))
        for other in said.first.get(smaller, ()):
            yield from (
                (place, other, f"{smaller} covers the largest part, and less than {larger}") for place in places
            )
    for first, places in said.first.items():
        for name, shares in said.shares.items():
            for _, high, one in said.shares.get(first, ()):
                if name != first and any(low > high for low, _, _ in shares):
                    yield places[0], one, f"{name} covers more than {first}, which covers the largest part"
