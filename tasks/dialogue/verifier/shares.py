"""Shares in whatever words: half, 40 percent, most of it, all but a small corner."""

import re
from collections.abc import Callable

from tasks.dialogue.verifier.expressions import Interval
from tasks.dialogue.verifier.words import Reading


def exact(value: float, slack: float) -> Interval:
    """A share, and what lies close to it."""
    return Interval(max(round(value - slack, 4), 0.0), min(round(value + slack, 4), 1.0))


S = r"S\d+"
SHARES: tuple[tuple[re.Pattern[str], Callable[[Reading, re.Match[str]], Interval]], ...] = (
    (re.compile(rf"between ({S}) and ({S})"), lambda r, m: _between(r, m)),
    (re.compile(rf"(?:from )?({S}) (?:to|and|but) ({S})"), lambda r, m: _between(r, m)),
    (re.compile(rf"\b(?:over|exceed|more than) (?:about )?({S})"), lambda r, m: Interval(_middle(r.of(m[1])), 1.0)),
    (re.compile(rf"\b(?:under|less than) (?:about )?({S})"), lambda r, m: Interval(0.0, _middle(r.of(m[1])))),
    (re.compile(rf"\batleast (?:about )?({S})"), lambda r, m: Interval(_middle(r.of(m[1])), 1.0)),
    (re.compile(rf"\batmost (?:about )?({S})"), lambda r, m: Interval(0.0, _middle(r.of(m[1])))),
    (re.compile(rf"\babout ({S})"), lambda r, m: _wider(r.of(m[1]))),
    (re.compile(rf"\bexactly ({S})"), lambda r, m: r.of(m[1])),
)
SHARE_WORDS: tuple[tuple[str, Interval], ...] = (
    ("about all of it", Interval(0.85, 1.0)),
    ("few percent", Interval(0.0, 0.08)),
    ("negligible share", Interval(0.0, 0.05)),
    ("negligible part", Interval(0.0, 0.05)),
    ("about all", Interval(0.85, 1.0)),
    ("virtually all", Interval(0.85, 1.0)),
    ("about everything", Interval(0.85, 1.0)),
    ("all of it", Interval(0.97, 1.0)),
    ("all of image", Interval(0.97, 1.0)),
    ("about whole image", Interval(0.85, 1.0)),
    ("whole image", Interval(0.97, 1.0)),
    ("entire image", Interval(0.97, 1.0)),
    ("vast majority", Interval(0.7, 1.0)),
    ("great majority", Interval(0.6, 1.0)),
    ("large majority", Interval(0.6, 1.0)),
    ("overwhelming majority", Interval(0.75, 1.0)),
    ("majority", Interval(0.5, 1.0)),
    ("larger half", Interval(0.5, 1.0)),
    ("most", Interval(0.5, 1.0)),
    ("mostly", Interval(0.5, 1.0)),
    ("all but small corner", Interval(0.85, 1.0)),
    ("all but small part", Interval(0.8, 1.0)),
    ("all but small share", Interval(0.8, 1.0)),
    ("all but tiny share", Interval(0.85, 1.0)),
    ("all but tiny part", Interval(0.85, 1.0)),
    ("all image", Interval(0.97, 1.0)),
    ("everything", Interval(0.97, 1.0)),
    ("minority", Interval(0.0, 0.5)),
    ("scarce", Interval(0.0, 0.06)),
    ("small share", Interval(0.0, 0.25)),
    ("small part", Interval(0.0, 0.25)),
    ("tiny share", Interval(0.0, 0.1)),
    ("tiny part", Interval(0.0, 0.1)),
    ("about none", Interval(0.0, 0.06)),
    ("about no", Interval(0.0, 0.06)),
    ("about nothing", Interval(0.0, 0.06)),
    ("little", Interval(0.0, 0.25)),
)
ALL_BUT = re.compile(
    r"\b(?:all|everything|image)(?: of it| here| of image)? (?:except|but) "
    r"(?:(?:small|tiny|little) (?:share|part|corner|area|bit|patch|strip)|corner|strip)\b"
)
NAMED = re.compile("|".join(rf"\b{re.escape(name)}\b" for name, _ in SHARE_WORDS))


LIKE_SHARE = re.compile(r"\bS\d")
LOW_END = re.compile(r"\b(N\d+) (to|and) (S\d+)\b")
"""Between 20 and 30 percent: the unit stands behind the second number alone."""


def _low_end(found: re.Match[str], reading: Reading) -> str:
    value = reading.of(found[1])
    if value <= 1:
        return found.group()
    return f"{reading.note('S', exact(value / 100, 0.0))} {found[2]} {found[3]}"


def with_shares(clause: str, reading: Reading) -> str:
    """A clause with its shares, of whatever words, as one word each."""
    named = dict(SHARE_WORDS)
    if clause == "all":
        clause = "all of it"
    clause = ALL_BUT.sub(lambda found: reading.note("S", Interval(0.8, 1.0)), clause)
    clause = NAMED.sub(lambda found: reading.note("S", named[found.group()]), clause)
    if not LIKE_SHARE.search(clause):
        return clause
    clause = LOW_END.sub(lambda found: _low_end(found, reading), clause)
    for pattern, interval in SHARES:
        clause = pattern.sub(lambda found, make=interval: reading.note("S", make(reading, found)), clause)  # type: ignore[misc]
    return clause


def _middle(interval: Interval) -> float:
    """The number that a share was written as."""
    low, high = interval.low or 0.0, interval.high if interval.high is not None else 1.0
    if high >= 1.0 and low > 0.5:
        return round(low + 0.06, 4)
    return round((low + high) / 2, 4) if low > 0 else round(high - 0.06, 4)


def _between(reading: Reading, found: re.Match[str]) -> Interval:
    first, second = _middle(reading.of(found[1])), _middle(reading.of(found[2]))
    return Interval(min(first, second), max(first, second))


def _wider(interval: Interval) -> Interval:
    return Interval(max((interval.low or 0.0) - 0.02, 0.0), min((interval.high or 0.0) + 0.02, 1.0))
