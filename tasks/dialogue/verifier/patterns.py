"""Sentences as patterns over the words of `reading`: what each asserts.

A pattern must match a whole clause: a word that none of them knows makes the pair one that cannot be checked, never one
that is believed. `{c}` is one concept or several joined by and or or, `{d}` a part of the chip, and so on.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from tasks.dialogue.verifier.expressions import (
    Adjacent,
    And,
    Beside,
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
    Hemisphere,
    Interval,
    Located,
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
from tasks.dialogue.verifier.reading import Reading, unseen_needs

TERMS = {
    "c": r"(?P<c>[CLO]\d+)", "c2": r"(?P<c2>C\d+)", "k": r"(?P<k>C\d+)", "s": r"(?P<s>S\d+)", "n": r"(?P<n>N\d+)",
    "d": r"(?P<d>D\d+)", "b": r"(?P<b>B\d+)", "t": r"(?P<t>T\d+)", "v": r"(?P<v>V\d+)", "q": r"(?P<q>Q\d+)",
    "p": r"(?P<p>P\d+)", "m": r"(?P<m>M\d+)", "a": r"(?P<a>A\d+)", "z": r"(?P<z>Z\d+)", "num": r"(?P<num>[NV]\d+)",
    "x": r"(?P<x>X\d+)",
    "mapped": r"(?P<mapped> mapped| as mapped)?", "neg": r"(?P<neg>no |not |none )?", "rel": r"(?P<rel>about |over |under |atleast |atmost |exactly |exceed )?",
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


def _presence(s: Sentence) -> Expression:
    around = bool(s.word("around"))
    return s.negated(s.each(lambda c: Presence(c, s.where, around)))


def _absence(s: Sentence) -> Expression:
    found = s.each(lambda c: Presence(c, s.where, bool(s.word("around"))))
    return found if s.has("neg") else (_none_of(found))


def _none_of(found: Expression) -> Expression:
    """All of a list are absent: "forest and water are missing"."""
    return And(tuple(Not(part) for part in found.parts)) if isinstance(found, And | Or) else Not(found)


def _no(s: Sentence) -> Expression:
    return _none_of(s.each(lambda c: Presence(c, s.where, bool(s.word("around")))))


def _share(s: Sentence) -> Expression:
    value: Interval = s["s"]
    return s.negated(s.each(lambda c: Share(c, value, s.has("mapped"))))


def _vegetated(s: Sentence) -> Expression:
    return s.negated(Quantity(s["a"], s["s"], "share"))


def _some_vegetated(s: Sentence) -> Expression:
    return s.negated(Quantity(s["a"], Interval(0.05, 1.0), "share"))


def _more(s: Sentence) -> Expression:
    return s.negated(More(s["k"], s["c2"], s.has("mapped")))


def _less(s: Sentence) -> Expression:
    return s.negated(More(s["c2"], s["k"], s.has("mapped")))


def _extreme(s: Sentence) -> Expression:
    return s.negated(Extreme(s["k"], s.has("least"), s.has("mapped")))


def _count(s: Sentence) -> Expression:
    return s.negated(Count(s["k"], s.number(), s.has("mapped")))


def _position(s: Sentence) -> Expression:
    return s.negated(s.each(lambda c: Position(c, s["d"], s.has("largest"))))


def _boxes(s: Sentence) -> Expression | None:
    if not s["b"]:
        return None
    which = "largest" if s.has("largest") else "all"
    return s.negated(Boxes(s["k"], s["b"], which))


def _region(s: Sentence) -> Expression | None:
    return s.negated(both(*(Region(s["k"], box) for box in s["b"]))) if s["b"] else None


def _adjacent(s: Sentence) -> Expression | None:
    if not s.has("c"):
        return s.negated(Adjacent(s["k"], s["c2"]))
    pair = s["c"]
    return s.negated(Adjacent(*pair)) if s.word("c")[0] == "L" and len(pair) == 2 else None


def _equal(s: Sentence) -> Expression | None:
    pair = s["c"]
    return s.negated(Equal(*pair)) if s.word("c")[0] == "L" and len(pair) == 2 else None


def _changed(s: Sentence) -> Expression:
    return s.negated(s.each(lambda c: Changed(c, s.where)))


def _taken(s: Sentence) -> Expression:
    return s.negated(s["t"])


def _sensed(s: Sentence) -> Expression:
    return s.negated(both(*dict.fromkeys((Sensed(s["m"][0]), Sensed(s["m"][1])))))


def _quantity(s: Sentence) -> Expression | None:
    return s.negated(found) if (found := quantity(s["q"], s["num"], s.word("rel"))) else None


THRESHOLDS = {"ndvi": 0.4, "ndwi": 0.0}
"""Quantities whose share of pixels above a number is measured, with that number."""
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


def _extent(s: Sentence) -> Expression | None:
    unit, value = s["v"]
    if unit not in ("area", "length"):
        return None
    interval = bounded(value, s.word("rel"), abs(value) * 0.15)
    return s.negated(Extent(s["k"], interval, unit == "length", s.has("mapped")))


def _complete(s: Sentence) -> Expression:
    concepts = s["c"] if s.word("c")[0] != "C" else (s["c"],)
    return And((s.each(lambda c: Presence(c)), Complete(tuple(concepts), mapped=s.has("mapped"))))


def _level(s: Sentence) -> Expression:
    """High, moderate or low NDVI: Weier and Herring 2000 call 0.2 to 0.5 shrubs and grass, more dense plants."""
    levels = {"high": Interval(0.5, None), "moderate": Interval(0.2, 0.5), "low": Interval(None, 0.2)}
    return s.negated(Quantity(s["q"], levels[s.word("level")]))


def _cannot(s: Sentence) -> Expression:
    topic = s["x"]
    return CannotBeSeen(topic, unseen_needs(topic))


TIMES = r"(?P<times>twice|double|triple|half|S\d+|(?:N\d+) times)"
IS, IMAGE = r"(?:is )?", r"(?:image |it |there )?"
LEVEL = r"(?P<level>high|moderate|low)"
SIZED = r"(?P<largest>largest )?"
STATEMENTS: list[tuple[str, Build]] = [
    # There is forest; there is no forest in the north-west; forest is (not) visible; the image shows forest.
    (r"there is {neg}{c}(?: present| see)?(?: in)?(?: {d})?(?: {b})?(?P<around> nearby)?{mapped}", _presence),
    (r"(?:in )?(?:{d}|{b}) (?:there )?is {neg}{c}(?: present)?", _presence),
    (r"there (?:does )?(?P<neg>not )?(?:present|have|is) {c}", _presence),
    (r"{c} cover {d}", _presence),
    (r"{c} (?:is |does )?{neg}(?:present|there|see)(?: in)?(?: {d}| {b})?(?P<around> nearby)?", _presence),
    (r"{c} is(?: (?P<neg>not))?(?: in)?", _presence),
    (r"{c} is {neg}(?:taken|mapped)", _presence),
    (r"{c} (?:can |could )?{neg}(?:is )?(?:see|present|found)(?: in)?(?: {d}| {b})?(?P<around> nearby)?", _presence),
    (r"{c} does (?P<neg>not )(?:is )?present(?: {d}| {b})?(?P<around> nearby)?", _presence),
    (r"(?:can |could |does )?{neg}see {c}(?: {d}| {b})?(?P<around> nearby)?", _presence),
    (r"(?:image|it|present) (?:does )?{neg}show {c}(?: {d}| {b})?(?P<around> nearby)?", _presence),
    (r"image is show {c}", _presence),
    (r"{c} is nearby", lambda s: s.each(lambda c: Presence(c, None, True))),
    (r"(?:some |there )?{c}(?: {d})", _presence),
    (r"{c} (?:is )?{neg}(?:absent|lack)(?: {d}| {b})?(?P<around> nearby)?", _absence),
    (r"(?:image |it )?(?:is )?{neg}absent(?: is)? {c}", _absence),
    (r"(?:image |it |there |class )?(?:is )?(?:show )?{neg}lack {c}(?: {d})?", _absence),
    (r"{c} is {neg}(?:class|share|part|feature|features|element|among|one)?(?: class| share| image| feature| present| shown)*", _presence),
    (r"someplace (?:is |show )?{neg}(?:covered )?(?:by )?{c}", _presence),
    (r"there is {neg}(?:anything|something|none|more) (?:else )?(?:except|than) {k}", lambda s: _others(s)),
    (r"{k} is {neg}exactly(?: class| one| cover)?", lambda s: s.negated(And((Presence(s["k"]), Complete((s["k"],)))))),
    (r"looks? for {c}(?: in)? vain", _no),
    (r"{k} (?:instead|rather than|not|in place|but not) {c2}", lambda s: And((Presence(s["k"]), Not(Presence(s["c2"]))))),
    (r"{c}(?: and|,)? none (?:else|more)", lambda s: _complete(s)),
    (r"(?:there is |image show )?(?:exactly |only ){c}(?: and none else)?(?: present)?", lambda s: _complete(s)),
    (r"(?:there (?:is )?|image show |image |it show |see )?no {c}(?: is)?(?: present| see| show)?(?: {d}| {b})?(?P<around> nearby)?", _no),
    (r"(?:there is |image show )?none {c}(?: present)?", _no),
    (r"no {c} (?:is|can is|can) (?:present|see)(?: {d}| {b})?(?P<around> nearby)?", _no),
    # Forest covers half of the image; half of the image is forest; the share of forest is 50 %.
    (r"{c} (?:does )?{neg}(?:cover|is|have|show|covered)(?: share)? {s}{mapped}", _share),
    (r"{s} (?:image )?(?:is )?{neg}(?:covered |cover )?(?:by |with |as )?{c}{mapped}", _share),
    (r"{s} (?:image )?is {neg}mapped (?P<mapped>as )?{c}", lambda s: s.negated(s.each(lambda c: Share(c, s["s"], True)))),
    (r"{s} {c} (?:cover|is there|present|there)", _share),
    (r"(?:share|area|total) {c} (?:is |cover )?{neg}{s}{mapped}", _share),
    (r"{c} (?:share|area) (?:is )?{neg}{s}{mapped}", _share),
    (r"(?:there is |image show ){s} {c}{mapped}", _share),
    (r"(?:image|it) is {neg}{s} {c}", _share),
    (r"(?:image|it) (?:is )?{neg}covered {s}(?: by)? {c}", _share),
    (r"(?:image|it|) ?(?:is )?{s} (?:covered )?(?:by |with )?{c}", _share),
    (r"{c} {s}(?: is)?", _share),
    (r"{a} (?:cover |is )?{s}", _vegetated),
    (r"{s} (?:is )?(?:covered )?(?:by |with )?{a}", _vegetated),
    (r"(?:share )?{a} (?:share )?(?:is|cover) {s}", _vegetated),
    (r"(?:there is |image show ){neg}{a}", _some_vegetated),
    (r"(?:image|it)? ?(?:is )?{neg}{a}", _some_vegetated),
    (r"{a} is {neg}present", _some_vegetated),
    # There is more forest than water; forest covers more than water; forest exceeds water.
    (r"(?:there is |image show |see )?{neg}(?:more|over) {k} (?:than )?{c2}{mapped}", _more),
    (r"(?:there is |image show |see )?{neg}(?:less|under) {k} (?:than )?{c2}{mapped}", _less),
    (r"{k} (?:does )?{neg}(?:cover |is |have |take |show )?(?:more|over)(?: area| space| image)?(?: than)? {c2}(?: does| is)?{mapped}", _more),
    (r"{k} (?:does )?{neg}(?:cover |is |have |take |show )?(?:less|under)(?: area| space| image)?(?: than)? {c2}(?: does| is)?{mapped}", _less),
    (r"(?:area |share )?{k} (?:is |does )?{neg}(?:more|over|exceed) (?:than )?(?:that |area |share )?{c2}", _more),
    (r"(?:area |share )?{k} (?:is |does )?{neg}(?:less|under) (?:than )?(?:that |area |share )?{c2}", _less),
    (r"{k} (?:is )?{neg}exceeded {c2}", _less),
    (r"(?:image (?:is )?(?:covered )?)?more (?:area )?(?:is )?(?:covered )?(?:by )?{k} than (?:by )?{c2}", _more),
    (r"(?:image (?:is )?(?:covered )?)?less (?:area )?(?:is )?(?:covered )?(?:by )?{k} than (?:by )?{c2}", _less),
    (r"{c} (?:is |cover )?{neg}(?:equal|same|alike|equally large|equally|equal area|same area|as large)(?: areas| area| shares| parts)?", _equal),
    (r"(?:there is |image show )?(?P<neg>not )as (?:much|many) {k} as {c2}", lambda s: More(s["c2"], s["k"])),
    (r"{k} (?:does |is )?(?P<neg>not )(?:cover |is )?as (?:much|large|extensive|widespread|common|big|many)(?: area| ground| land)? as {c2}", lambda s: More(s["c2"], s["k"])),
    (r"(?:there is |image show )?(?:about |exactly |just )?as much {k} as {c2}", lambda s: Equal(s["k"], s["c2"])),
    (r"{k} (?:does |is )?{neg}(?:cover |is )?{rel}" + TIMES + r"(?: as)?(?: much| large| big| extensive)?(?: area| ground)?(?: as|the area| the size)? {c2}", lambda s: _ratio(s)),
    (r"(?:there is |image show )?{neg}{rel}" + TIMES + r" as much {k} as {c2}", lambda s: _ratio(s)),
    (r"something else (?:cover )?(?:is )?(?:over|more)(?: than)? {k}", lambda s: Not(Extreme(s["k"]))),
    # Forest is the largest class; the image is dominated by forest.
    (r"{k} (?:is |cover |show ){neg}(?P<top>largest)(?: class| cover)?(?: share| area)?{mapped}", _extreme),
    (r"(?:largest|dominate)(?: class)?(?: share| area)? (?:is ){neg}{k}{mapped}", _extreme),
    (r"{k} (?:is |cover ){neg}(?P<least>smallest)(?: class)?(?: share| area)?{mapped}", _extreme),
    (r"(?P<least>smallest)(?: class)?(?: share| area)? (?:is ){neg}{k}{mapped}", _extreme),
    (r"(?:does )?{k} (?:does )?{neg}dominate(?: image)?", _extreme),
    (r"{k} (?:does |is )?{neg}(?:cover )?(?:more|over)(?: area| image)?(?: than)? (?:anything|any|other|everything|all)(?: else| class| other)?(?: class)?", _extreme),
    (r"{k} is {neg}(?:more|largest) (?P<l>[LO]\d+)", lambda s: s.negated(Extreme(s["k"], among=s["l"]))),
    (r"{k} is {neg}(?P<least>less|smallest) (?P<l>[LO]\d+)", lambda s: s.negated(Extreme(s["k"], True, among=s["l"]))),
    (r"{s} (?:pixels )?(?:show|is) {q} over (?P<num>N\d+)", lambda s: _above(s)),
    (r"majority (?:image )?is {neg}(?:covered )?(?:by )?{c}", lambda s: s.negated(s.each(lambda c: Share(c, Interval(0.5, 1.0))))),
    (r"{c} (?:is|cover) {neg}majority", lambda s: s.negated(s.each(lambda c: Share(c, Interval(0.5, 1.0))))),
    (r"(?:image |it )?(?:is )?{neg}dominated (?:by )?{k}", _extreme),
    # There are three meadows; the number of meadows is 3.
    (r"(?:there is |image show |it show |it is |see |can see )?{neg}{rel}{n}(?P<m1> mapped)? {k}(?: present| see)?{mapped}", lambda s: _counted(s)),
    (r"{rel}{n}(?P<m1> mapped)? {k} (?:is|can|can is) (?:present|see|there|mapped){mapped}", lambda s: _counted(s)),
    (r"(?:number )(?P<m1>mapped )?{k} (?:is )?{rel}{n}{mapped}", lambda s: _counted(s)),
    (r"{k} (?:number|count) (?:is )?{rel}{n}", _count),
    # Forest lies in the north-west; the largest meadow lies in the north-west.
    (SIZED + r"{c} (?:is |can is )?{neg}(?:mostly |mainly )?(?:located|present|see|extend|is)(?: in)? {d}{mapped}", _position),
    (SIZED + r"{c} (?:is )?{neg}(?:in )?{d}", _position),
    (r"{d} (?:is|show|hold|is where) {neg}{c}(?: is)?(?: located)?", lambda s: s.negated(s.each(lambda c: Presence(c, s["d"])))),
    (r"{k} (?:is )?{neg}(?:located )?beyond {d} {c2}", lambda s: s.negated(Beside(s["k"], s["d"].direction, s["c2"]))),
    # Forest borders water; forest and water touch.
    (r"{k} (?:is |does )?{neg}adjacent(?: to| with)? {c2}", _adjacent),
    (r"{c} (?:is |does )?{neg}adjacent", _adjacent),
    (r"there is {neg}adjacent {c}", _adjacent),
    # The forest lies in [[...]]; [[...]] holds forest.
    (SIZED + r"{k} (?:is |box )?(?:is )?(?:located )?(?:in |at |within )?(?:box )?(?:is )?{b}", _boxes),
    (r"(?:box )?(?:for )?" + SIZED + r"{k} (?:is )?{b}", _boxes),
    (r"(?:in |inside |within )?(?:box )?{b} (?:there )?(?:is|show|cover|covered|dominated)(?: dominated)?(?: by| located)? {neg}{k}", _region),
    (r"{k} (?:cover|is|dominate) {b}", _region),
    # Forest loss happened.
    (r"{c} (?:does |show )?{neg}happen(?: in)?(?: {d})?", _changed),
    (r"no {c} (?:show |is )?(?:happen|taken|mapped)(?: in)?(?: {d})?", lambda s: Not(s.each(lambda c: Changed(c, s.where)))),
    # Dates, places, sensors.
    (r"(?:image |it )?(?:is )?{neg}taken (?:in |on |during |at )?{t}", _taken),
    (r"(?:image |it )show {t}(?: image)?", _taken),
    (r"(?:image |it |this )?(?:is )?{neg}{t} image", _taken),
    (r"(?:when |season |year |month |day |taken )?(?:image )?(?:is |it is )?{neg}(?:taken )?(?:in |on |during )?{t}", _taken),
    (r"{m} (?:taken|mapped|present)(?: image| it)?", _sensed),
    (r"(?:image |it )?(?:is )?(?:taken )?(?:by |with |from )?{m} (?:image )?(?:taken )?(?:in |on |during )?{t}", lambda s: And((_sensed(s), s["t"]))),
    (r"(?:image |it )?(?:is )?(?:taken )?(?:in |on |during )?{t} (?P<t2>T\d+)", lambda s: both(s["t"], s["t2"])),
    (r"(?:image |it |this )?(?:is |show |part |does )?{neg}(?:located |taken |part )?(?:place |part |area |share |site )?(?:in )?(?:country )?(?:is )?{p}", lambda s: s.negated(Located(s["p"]))),
    (r"(?:image |it |this )?(?:is )?{neg}(?:located )?(?:in |on )?{z}", lambda s: s.negated(Hemisphere(s["z"]))),
    (r"(?:image |it |this )?(?:is )?{neg}(?:taken )?(?:by |with |from )?(?:sensor )?(?:is )?{m}(?: sensor| image| radar| scene)?", _sensed),
    # Pixels.
    (r"(?:mean )?{q} (?:is )?{neg}{rel}{num}", _quantity),
    (r"(?:image |it )?(?:show )?(?:mean )?{q} {rel}{num}", _quantity),
    (r"(?:mean )?{q} (?:is )?{neg}" + LEVEL, _level),
    (r"(?:there is |image show )?{neg}" + LEVEL + r" {q}", _level),
    # Sizes.
    (r"{k} (?:does )?{neg}(?:cover |is |have |show |mapped )?(?:area )?{rel}{v}(?: long| wide| large)?{mapped}", _extent),
    (r"(?:area |length |total )+{k} (?:is )?{neg}{rel}{v}{mapped}", _extent),
    (r"(?:there is |image show )?{rel}{v} {k}{mapped}", _extent),
    # It cannot be told.
    (r"{x}(?: .*)? impossible(?: .*)?", _cannot),
    (r"(?:.* )?impossible (?:.* )?{x}(?: .*)?", _cannot),
]  # fmt: skip


def _ratio(s: Sentence) -> Expression | None:
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


def _others(s: Sentence) -> Expression:
    """There is something besides it; "there is nothing besides it" denies that."""
    more = Not(Complete((s["k"],)))
    return Complete((s["k"],)) if "none" in s.text or s.has("neg") else more


def _above(s: Sentence) -> Expression | None:
    name, value = s["q"], s["num"]
    return Quantity(name, s["s"], "share") if isinstance(value, float) and THRESHOLDS.get(name) == value else None


def _counted(s: Sentence) -> Expression:
    return s.negated(Count(s["k"], s.number(), bool(s.word("mapped") or s.word("m1"))))


def compiled(patterns: list[tuple[str, Build]]) -> list[tuple[re.Pattern[str], Build]]:
    """Patterns with their terms filled in."""
    return [(re.compile(_filled(pattern)), build) for pattern, build in patterns]


def _filled(pattern: str) -> str:
    return re.sub(r"\{([a-z]\w*)\}", lambda found: TERMS[found[1]], pattern)


COMPILED = compiled(STATEMENTS)
LETTERS = [frozenset(re.findall(r"\[?([A-Z]{1,4})\]?\\d", pattern.pattern)) for pattern, _ in COMPILED]


@cache
def _candidates(letters: frozenset[str]) -> list[tuple[re.Pattern[str], Build]]:
    """Patterns that have a place for each of the letters: every word of a clause must be matched."""
    return [one for one, own in zip(COMPILED, LETTERS, strict=True) if letters <= frozenset("".join(own))]


def statement(clause: str, reading: Reading) -> Expression | None:
    """What a declarative clause asserts; None where no pattern knows it."""
    for pattern, build in _candidates(frozenset(VALUES.findall(clause))):
        found = pattern.fullmatch(clause)
        if found is not None:
            made = build(Sentence(reading, found))
            if made is not None:
                return made
    return None


