"""A clause that a pattern matched, and what each pattern makes of it."""

import re
from collections.abc import Callable
from typing import Any

from tasks.dialogue.verifier.expressions import (
    Adjacent,
    And,
    Boxes,
    CannotBeSeen,
    Changed,
    Complete,
    Concept,
    Count,
    Equal,
    Expression,
    Extent,
    Extreme,
    Interval,
    More,
    Not,
    Or,
    Position,
    Presence,
    Quantity,
    Ratio,
    Region,
    Sensed,
    Share,
    Where,
    both,
)  # fmt: skip
from tasks.dialogue.verifier.reading import unseen_needs
from tasks.dialogue.verifier.words import Reading

TERMS = {
    "c": r"(?P<c>[CLO]\d+)", "c2": r"(?P<c2>C\d+)", "k": r"(?P<k>C\d+)", "s": r"(?P<s>S\d+)", "n": r"(?P<n>N\d+)",
    "d": r"(?P<d>D\d+)", "b": r"(?P<b>B\d+)", "t": r"(?P<t>T\d+)", "v": r"(?P<v>V\d+)", "q": r"(?P<q>Q\d+)",
    "p": r"(?P<p>P\d+)", "m": r"(?P<m>M\d+)", "a": r"(?P<a>A\d+)", "z": r"(?P<z>Z\d+)", "num": r"(?P<num>[NV]\d+)",
    "x": r"(?P<x>X\d+)",
    "mapped": r"(?P<mapped> mapped| as mapped)?", "neg": r"(?P<neg>no |not |none )?",
    "rel": r"(?P<rel>about |over |under |atleast |atmost |exactly |exceed )?",
}  # fmt: skip
VALUES = re.compile(r"\b([A-Z])\d")
Build = Callable[["Sentence"], Expression | None]


class Sentence:
    """A clause that a pattern matched."""

    def __init__(self, reading: Reading, found: re.Match[str]) -> None:
        self.reading, self._found = reading, found

    def has(self, name: str) -> bool:
        """Whether there is a word of that name."""
        return bool(self._found.groupdict().get(name))

    def __getitem__(self, name: str) -> Any:
        """What the word of that name stands for."""
        return self.reading.of(self._found[name].strip())

    @property
    def text(self) -> str:
        """The clause."""
        return self._found.group()

    def word(self, name: str) -> str:
        """The word of that name itself; empty if there is none."""
        return (self._found.groupdict().get(name) or "").strip()

    def each(self, make: Callable[[Concept], Expression]) -> Expression:
        """The same of every concept of `{c}`, joined as they are."""
        letter, value = self._found["c"][0], self["c"]
        if letter == "C":
            return make(value)
        parts = tuple(make(concept) for concept in value)
        return And(parts) if letter == "L" else Or(parts)

    @property
    def where(self) -> Where | None:
        """The part of the chip that is named."""
        return self["d"] if self.has("d") else Where(box=self["b"][0]) if self.has("b") and self["b"] else None

    def negated(self, expression: Expression) -> Expression:
        """The contrary if there is a negation."""
        return Not(expression) if self.has("neg") else expression

    def number(self, slack: float = 0.0) -> Interval:
        """`{n}` with what stands before it: over, at least, about, ..."""
        value = float(self["n"])
        return bounded(value, self.word("rel"), slack)


def bounded(value: float, relation: str, slack: float) -> Interval:
    """A number as an interval: itself with some slack, or open to one side."""
    if relation in ("over", "exceed"):
        return Interval(value + 1e-9, None)
    if relation == "atleast":
        return Interval(value, None)
    if relation == "under":
        return Interval(None, value - 1e-9)
    if relation == "atmost":
        return Interval(None, value)
    return Interval(value - slack, value + slack)


def presence(s: Sentence) -> Expression:
    """It is there, or not."""
    around = bool(s.word("around"))
    return s.negated(s.each(lambda c: Presence(c, s.where, around)))


def absence(s: Sentence) -> Expression:
    """It is absent, or not absent."""
    found = s.each(lambda c: Presence(c, s.where, bool(s.word("around"))))
    return found if s.has("neg") else (none_of(found))


def none_of(found: Expression) -> Expression:
    """All of a list are absent: "forest and water are missing"."""
    return And(tuple(Not(part) for part in found.parts)) if isinstance(found, And | Or) else Not(found)


def no(s: Sentence) -> Expression:
    """There is no such thing."""
    return none_of(s.each(lambda c: Presence(c, s.where, bool(s.word("around")))))


def share(s: Sentence) -> Expression:
    """It covers so much of the chip."""
    value: Interval = s["s"]
    return s.negated(s.each(lambda c: Share(c, value, s.has("mapped"))))


def vegetated(s: Sentence) -> Expression:
    """So many pixels pass the threshold of a quantity."""
    return s.negated(Quantity(s["a"], s["s"], "share"))


def some_vegetated(s: Sentence) -> Expression:
    """Some pixels pass the threshold of a quantity."""
    return s.negated(Quantity(s["a"], Interval(0.05, 1.0), "share"))


def more(s: Sentence) -> Expression:
    """The first covers more than the second."""
    return s.negated(More(s["k"], s["c2"], s.has("mapped")))


def less(s: Sentence) -> Expression:
    """The first covers less than the second."""
    return s.negated(More(s["c2"], s["k"], s.has("mapped")))


def extreme(s: Sentence) -> Expression:
    """Nothing covers more, or less."""
    return s.negated(Extreme(s["k"], s.has("least"), s.has("mapped")))


def count(s: Sentence) -> Expression:
    """There are so many."""
    return s.negated(Count(s["k"], s.number(), s.has("mapped")))


def position(s: Sentence) -> Expression:
    """It lies there."""
    return s.negated(s.each(lambda c: Position(c, s["d"], s.has("largest"))))


def boxes(s: Sentence) -> Expression | None:
    """It lies in these boxes."""
    if not s["b"]:
        return None
    which = "largest" if s.has("largest") else "all"
    return s.negated(Boxes(s["k"], s["b"], which))


def region(s: Sentence) -> Expression | None:
    """It is what the boxes hold."""
    return s.negated(both(*(Region(s["k"], box) for box in s["b"]))) if s["b"] else None


def adjacent(s: Sentence) -> Expression | None:
    """They touch."""
    if not s.has("c"):
        return s.negated(Adjacent(s["k"], s["c2"]))
    pair = s["c"]
    return s.negated(Adjacent(*pair)) if s.word("c")[0] == "L" and len(pair) == 2 else None


def equal(s: Sentence) -> Expression | None:
    """They cover as much."""
    pair = s["c"]
    return s.negated(Equal(*pair)) if s.word("c")[0] == "L" and len(pair) == 2 else None


def changed(s: Sentence) -> Expression:
    """It happened."""
    return s.negated(s.each(lambda c: Changed(c, s.where)))


def taken(s: Sentence) -> Expression:
    """It was taken then."""
    return s.negated(s["t"])


def sensed(s: Sentence) -> Expression:
    """It was taken by that."""
    return s.negated(both(*dict.fromkeys((Sensed(s["m"][0]), Sensed(s["m"][1])))))


def mean_of(s: Sentence) -> Expression | None:
    """The mean of a quantity is that."""
    return s.negated(found) if (found := quantity(s["q"], s["num"], s.word("rel"))) else None


THRESHOLDS = {"ndvi": 0.4, "ndwi": 0.0}
"""Quantities whose share of pixels above a number is measured, with that number."""
LEVELS = {"high": Interval(0.5, None), "moderate": Interval(0.2, 0.5), "low": Interval(None, 0.2)}
"""Of an NDVI: Weier and Herring 2000 call 0.2 to 0.5 shrubs and grass, more dense plants."""
SLACK = {"ndvi": 0.06, "ndwi": 0.06, "nbr": 0.06, "temperature": 1.6}


def quantity(name: str, value: Any, relation: str) -> Expression | None:
    """The mean of a quantity is a number, with a unit or none; None where the unit is another's."""
    unit, number = value if isinstance(value, tuple) else ("", value)
    if name == "temperature":
        if unit not in ("celsius", "kelvin"):
            return None
        number += 273.15 if unit == "celsius" else 0.0
    elif name in ("ndvi", "ndwi", "nbr"):
        if unit:
            return None
    elif unit != "dB":
        return None
    return Quantity(name, bounded(number, relation, SLACK.get(name, 1.0)))


def temperature(s: Sentence) -> Expression | None:
    """It is so warm."""
    found = quantity("temperature", s["v"], s.word("rel"))
    return s.negated(found) if found else None


def extent(s: Sentence) -> Expression | None:
    """It covers so much ground, or is so long."""
    unit, value = s["v"]
    if unit not in ("area", "length"):
        return None
    interval = bounded(value, s.word("rel"), abs(value) * 0.15)
    return s.negated(Extent(s["k"], interval, unit == "length", s.has("mapped")))


def complete(s: Sentence) -> Expression:
    """They are there, and nothing else."""
    concepts = s["c"] if s.word("c")[0] != "C" else (s["c"],)
    return And((s.each(lambda c: Presence(c)), Complete(tuple(concepts), mapped=s.has("mapped"))))


def level(s: Sentence) -> Expression:
    """It is high, moderate or low."""
    return s.negated(Quantity(s["q"], LEVELS[s.word("level")]))


def cannot(s: Sentence) -> Expression:
    """It cannot be told."""
    topic = s["x"]
    return CannotBeSeen(topic, unseen_needs(topic))


def ratio(s: Sentence) -> Expression | None:
    """The first covers so many times as much as the second."""
    word = s.word("times")
    factor = {"twice": 2.0, "double": 2.0, "triple": 3.0, "half": 0.5}.get(word)
    if factor is None and word[0] == "N":
        factor = s.reading.of(word.split()[0])
    if factor is None and word[0] == "S":
        share: Interval = s.reading.of(word)
        high = None if share.high is None or share.high >= 1.0 else share.high
        return s.negated(Ratio(s["k"], s["c2"], Interval(share.low or None, high)))
    if not factor:
        return None
    relation = s.word("rel")
    return s.negated(Ratio(s["k"], s["c2"], bounded(factor, relation, factor * 0.2)))


def others(s: Sentence) -> Expression:
    """There is something besides it; "there is nothing besides it" denies that."""
    more = Not(Complete((s["k"],)))
    return Complete((s["k"],)) if "none" in s.text or s.has("neg") else more


def above(s: Sentence) -> Expression | None:
    """So many pixels lie above the threshold of a quantity."""
    name, value = s["q"], s["num"]
    return Quantity(name, s["s"], "share") if isinstance(value, float) and THRESHOLDS.get(name) == value else None


def counted(s: Sentence) -> Expression:
    """There are so many, or so many are mapped."""
    return s.negated(Count(s["k"], s.number(), bool(s.word("mapped") or s.word("m1"))))
