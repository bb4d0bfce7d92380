"""Sentences as patterns over the words of `reading`: what each asserts.

A pattern must match a whole clause: a word that none of them knows makes the pair one that cannot be checked, never one
that is believed. `{c}` is one concept or several joined by and or or, `{d}` a part of the chip, and so on.
"""

import re
from functools import cache

from tasks.dialogue.verifier.expressions import (
    And,
    Beside,
    Changed,
    Complete,
    Equal,
    Expression,
    Extreme,
    Hemisphere,
    Interval,
    Located,
    More,
    Not,
    Presence,
    Share,
    both,
)
from tasks.dialogue.verifier.sentences import (
    TERMS,
    VALUES,
    Build,
    Sentence,
    above,
    absence,
    adjacent,
    boxes,
    cannot,
    changed,
    complete,
    count,
    counted,
    equal,
    extent,
    extreme,
    less,
    level,
    mean_of,
    more,
    no,
    others,
    position,
    presence,
    ratio,
    region,
    sensed,
    share,
    some_vegetated,
    taken,
    temperature,
    vegetated,
)
from tasks.dialogue.verifier.words import Reading

TIMES = r"(?P<times>twice|double|triple|half|S\d+|(?:N\d+) times)"
LEVEL = r"(?P<level>high|moderate|low)"
SIZED = r"(?P<largest>largest )?"
STATEMENTS: list[tuple[str, Build]] = [
    # There is forest; there is no forest in the north-west; forest is (not) visible; the image shows forest.
    (r"there is {neg}{c}(?: present| see)?(?: in)?(?: {d})?(?: {b})?(?P<around> nearby)?{mapped}", presence),
    (r"(?:in )?(?:{d}|{b}) (?:there )?is {neg}{c}(?: present)?", presence),
    (r"there (?:does )?(?P<neg>not )?(?:present|have|is) {c}", presence),
    (r"{c} cover {d}", presence),
    (r"{c} (?:is |does )?{neg}(?:present|there|see)(?: in)?(?: {d}| {b})?(?P<around> nearby)?", presence),
    (r"{c} is(?: (?P<neg>not))?(?: in)?", presence),
    (r"{c} is {neg}(?:taken|mapped)", presence),
    (r"{c} (?:can |could )?{neg}(?:is )?(?:see|present|found)(?: in)?(?: {d}| {b})?(?P<around> nearby)?", presence),
    (r"{c} does (?P<neg>not )(?:is )?present(?: {d}| {b})?(?P<around> nearby)?", presence),
    (r"(?:can |could |does )?{neg}see {c}(?: {d}| {b})?(?P<around> nearby)?", presence),
    (r"(?:image|it|present) (?:does )?{neg}show {c}(?: {d}| {b})?(?P<around> nearby)?", presence),
    (r"image is show {c}", presence),
    (r"{c} is nearby", lambda s: s.each(lambda c: Presence(c, None, True))),
    (r"(?:some |there )?{c}(?: {d})", presence),
    (r"{c} (?:is )?{neg}(?:absent|lack)(?: {d}| {b})?(?P<around> nearby)?", absence),
    (r"(?:image |it )?(?:is )?{neg}absent(?: is)? {c}", absence),
    (r"(?:image |it |there |class )?(?:is )?(?:show )?{neg}lack {c}(?: {d})?", absence),
    (
        r"{c} is {neg}(?:class|share|part|feature|features|element|among|one)?(?: class| share| image|"
        r" feature| present| shown)*",
        presence,
    ),
    (r"someplace (?:is |show )?{neg}(?:covered )?(?:by )?{c}", presence),
    (r"there is {neg}(?:anything|something|none|more) (?:else )?(?:except|than) {k}", lambda s: others(s)),
    (r"{k} is {neg}exactly(?: class| one| cover)?", lambda s: s.negated(And((Presence(s["k"]), Complete((s["k"],)))))),
    (r"looks? for {c}(?: in)? vain", no),
    (
        r"{k} (?:instead|rather than|not|in place|but not) {c2}",
        lambda s: And((Presence(s["k"]), Not(Presence(s["c2"])))),
    ),
    (r"{c}(?: and|,)? none (?:else|more)", lambda s: complete(s)),
    (r"(?:there is |image show )?(?:exactly |only ){c}(?: and none else)?(?: present)?", lambda s: complete(s)),
    (
        r"(?:there (?:is )?|image show |image |it show |see )?no {c}(?: is)?(?: present| see| show)?(?:"
        r" {d}| {b})?(?P<around> nearby)?",
        no,
    ),
    (r"(?:there is |image show )?none {c}(?: present)?", no),
    (r"no {c} (?:is|can is|can) (?:present|see)(?: {d}| {b})?(?P<around> nearby)?", no),
    # Forest covers half of the image; half of the image is forest; the share of forest is 50 %.
    (r"{c} (?:does )?{neg}(?:cover|is|have|show|covered)(?: share)? {s}{mapped}", share),
    (r"{s} (?:image )?(?:is )?{neg}(?:covered |cover )?(?:by |with |as )?{c}{mapped}", share),
    (
        r"{s} (?:image )?(?:is )?{neg}mapped (?P<mapped>as )?{c}",
        lambda s: s.negated(s.each(lambda c: Share(c, s["s"], True))),
    ),
    (r"{s} {c} (?:cover|is there|present|there)", share),
    (r"(?:share|area|total) {c} (?:is |cover )?{neg}{s}{mapped}", share),
    (r"{c} (?:share|area) (?:is )?{neg}{s}{mapped}", share),
    (r"(?:there is |image show ){s} {c}{mapped}", share),
    (r"(?:image|it) is {neg}{s} {c}", share),
    (r"(?:image|it) (?:is )?{neg}covered {s}(?: by)? {c}", share),
    (r"(?:image|it|) ?(?:is )?{s} (?:covered )?(?:by |with )?{c}", share),
    (r"{c} {s}(?: is)?", share),
    (r"{a} (?:cover |is )?{s}", vegetated),
    (r"{s} (?:is )?(?:covered )?(?:by |with )?{a}", vegetated),
    (r"(?:share )?{a} (?:share )?(?:is|cover) {s}", vegetated),
    (r"(?:there is |image show ){neg}{a}", some_vegetated),
    (r"(?:image|it)? ?(?:is )?{neg}{a}", some_vegetated),
    (r"{a} is {neg}present", some_vegetated),
    # There is more forest than water; forest covers more than water; forest exceeds water.
    (r"(?:there is |image show |see )?{neg}(?:more|over) {k} (?:than )?{c2}{mapped}", more),
    (r"(?:there is |image show |see )?{neg}(?:less|under) {k} (?:than )?{c2}{mapped}", less),
    (
        r"{k} (?:does )?{neg}(?:cover |is |have |take |show )?(?:more|over)(?: area| space| image)?(?:"
        r" than)? {c2}(?: does| is)?{mapped}",
        more,
    ),
    (
        r"{k} (?:does )?{neg}(?:cover |is |have |take |show )?(?:less|under)(?: area| space| image)?(?:"
        r" than)? {c2}(?: does| is)?{mapped}",
        less,
    ),
    (r"(?:area |share )?{k} (?:is |does )?{neg}(?:more|over|exceed) (?:than )?(?:that |area |share )?{c2}", more),
    (r"(?:area |share )?{k} (?:is |does )?{neg}(?:less|under) (?:than )?(?:that |area |share )?{c2}", less),
    (r"{k} (?:is )?{neg}exceeded {c2}", less),
    (r"(?:image (?:is )?(?:covered )?)?more (?:area )?(?:is )?(?:covered )?(?:by )?{k} than (?:by )?{c2}", more),
    (r"(?:image (?:is )?(?:covered )?)?less (?:area )?(?:is )?(?:covered )?(?:by )?{k} than (?:by )?{c2}", less),
    (
        r"{c} (?:is |cover )?{neg}(?:equal|same|alike|equally large|equally|equal area|same area|as"
        r" large)(?: areas| area| shares| parts)?",
        equal,
    ),
    (r"(?:there is |image show )?(?P<neg>not )as (?:much|many) {k} as {c2}", lambda s: More(s["c2"], s["k"])),
    (
        r"{k} (?:does |is )?(?P<neg>not )(?:cover |is )?as "
        r"(?:much|large|extensive|widespread|common|big|many)(?: area| ground| land)? as {c2}",
        lambda s: More(s["c2"], s["k"]),
    ),
    (r"(?:there is |image show )?(?:about |exactly |just )?as much {k} as {c2}", lambda s: Equal(s["k"], s["c2"])),
    (
        r"{k} (?:does |is )?{neg}(?:cover |is )?{rel}"
        + TIMES
        + r"(?: as)?(?: much| large| big| extensive)?(?: area| ground)?(?: as|the area| the size)? {c2}",
        lambda s: ratio(s),
    ),
    (r"(?:there is |image show )?{neg}{rel}" + TIMES + r" as much {k} as {c2}", lambda s: ratio(s)),
    (r"something else (?:cover )?(?:is )?(?:over|more)(?: than)? {k}", lambda s: Not(Extreme(s["k"]))),
    # Forest is the largest class; the image is dominated by forest.
    (r"{k} (?:is |cover |show ){neg}(?P<top>largest)(?: class| cover)?(?: share| area)?{mapped}", extreme),
    (r"(?:largest|dominate)(?: class)?(?: share| area)? (?:is ){neg}{k}{mapped}", extreme),
    (r"{k} (?:is |cover ){neg}(?P<least>smallest)(?: class)?(?: share| area)?{mapped}", extreme),
    (r"(?P<least>smallest)(?: class)?(?: share| area)? (?:is ){neg}{k}{mapped}", extreme),
    (r"(?:does )?{k} (?:does )?{neg}dominate(?: image)?", extreme),
    (
        r"{k} (?:does |is )?{neg}(?:cover )?(?:more|over)(?: area| image)?(?: than)? "
        r"(?:anything|any|other|everything|all)(?: else| class| other)?(?: class)?",
        extreme,
    ),
    (r"{k} is {neg}(?:more|largest) (?P<l>[LO]\d+)", lambda s: s.negated(Extreme(s["k"], among=s["l"]))),
    (r"{k} is {neg}(?P<least>less|smallest) (?P<l>[LO]\d+)", lambda s: s.negated(Extreme(s["k"], True, among=s["l"]))),
    (r"{s} (?:pixels )?(?:show|is) {q} over (?P<num>N\d+)", lambda s: above(s)),
    (
        r"majority (?:image )?is {neg}(?:covered )?(?:by )?{c}",
        lambda s: s.negated(s.each(lambda c: Share(c, Interval(0.5, 1.0)))),
    ),
    (r"{c} (?:is|cover) {neg}majority", lambda s: s.negated(s.each(lambda c: Share(c, Interval(0.5, 1.0))))),
    (r"(?:image |it )?(?:is )?{neg}dominated (?:by )?{k}", extreme),
    # There are three meadows; the number of meadows is 3.
    (
        r"(?:there is |image show |it show |it is |see |can see )?{neg}{rel}{n}(?P<m1> mapped)? {k}(?:"
        r" present| see)?{mapped}",
        lambda s: counted(s),
    ),
    (r"{rel}{n}(?P<m1> mapped)? {k} (?:is|can|can is) (?:present|see|there|mapped){mapped}", lambda s: counted(s)),
    (r"(?:number )(?P<m1>mapped )?{k} (?:is )?{rel}{n}{mapped}", lambda s: counted(s)),
    (r"{k} (?:number|count) (?:is )?{rel}{n}", count),
    # Forest lies in the north-west; the largest meadow lies in the north-west.
    (
        SIZED
        + r"{c} (?:is |can is )?{neg}(?:mostly |mainly )?(?:located|present|see|extend|is)(?: in)?"
        + r" {d}{mapped}",
        position,
    ),
    (SIZED + r"{c} (?:is )?{neg}(?:in )?{d}", position),
    (
        r"{d} (?:is|show|hold|is where) {neg}{c}(?: is)?(?: located)?",
        lambda s: s.negated(s.each(lambda c: Presence(c, s["d"]))),
    ),
    (r"{k} (?:is )?{neg}(?:located )?beyond {d} {c2}", lambda s: s.negated(Beside(s["k"], s["d"].direction, s["c2"]))),
    # Forest borders water; forest and water touch.
    (r"{k} (?:is |does )?{neg}adjacent(?: to| with)? {c2}", adjacent),
    (r"{c} (?:is |does )?{neg}adjacent", adjacent),
    (r"there is {neg}adjacent {c}", adjacent),
    # The forest lies in [[...]]; [[...]] holds forest.
    (SIZED + r"(?:mapped )?{k} (?:is |box )?(?:is )?(?:located )?(?:in |at |within )?(?:box )?(?:is )?{b}", boxes),
    (r"(?:box )?(?:for )?" + SIZED + r"{k} (?:is )?{b}", boxes),
    (
        r"(?:in |inside |within )?(?:box )?{b} (?:there )?(?:is|show|cover|covered|dominated)(?:"
        r" dominated)?(?: by| located)? {neg}{k}",
        region,
    ),
    (r"{k} (?:cover|is|dominate) {b}", region),
    # Forest loss happened.
    (r"{c} (?:does |show )?{neg}happen(?: in)?(?: {d})?", changed),
    (
        r"no {c} (?:show |is )?(?:happen|taken|mapped)(?: in)?(?: {d})?",
        lambda s: Not(s.each(lambda c: Changed(c, s.where))),
    ),
    # Dates, places, sensors.
    (r"(?:image |it )?(?:is )?{neg}taken (?:in |on |during |at )?{t}", taken),
    (r"(?:image |it )show {t}(?: image)?", taken),
    (r"(?:image |it |this )?(?:is )?{neg}{t} image", taken),
    (
        r"(?:when |season |year |month |day |taken )?(?:image )?(?:is |it is )?{neg}(?:taken )?(?:in |on"
        r" |during )?{t}",
        taken,
    ),
    (r"{m} (?:taken|mapped|present)(?: image| it)?", sensed),
    (
        r"(?:image |it )?(?:is )?(?:taken )?(?:by |with |from )?{m} (?:image )?(?:taken )?(?:in |on"
        r" |during )?{t}",
        lambda s: And((sensed(s), s["t"])),
    ),
    (r"(?:image |it )?(?:is )?(?:taken )?(?:in |on |during )?{t} (?P<t2>T\d+)", lambda s: both(s["t"], s["t2"])),
    (
        r"(?:image |it |this )?(?:is |show |part |does )?{neg}(?:located |taken |part )?(?:place |part"
        r" |area |share |site )?(?:in )?(?:country )?(?:is )?{p}",
        lambda s: s.negated(Located(s["p"])),
    ),
    (r"(?:image |it |this )?(?:is )?{neg}(?:located )?(?:in |on )?{z}", lambda s: s.negated(Hemisphere(s["z"]))),
    (
        r"(?:image |it |this )?(?:is )?{neg}(?:taken )?(?:by |with |from )?(?:sensor )?(?:is )?{m}(?:"
        r" sensor| image| radar| scene)?",
        sensed,
    ),
    # Pixels.
    (r"(?:mean )?{q} (?:is )?{neg}{rel}{num}", mean_of),
    (r"(?:image |it )?(?:show )?(?:mean )?{q} {rel}{num}", mean_of),
    (r"(?:mean )?{q} (?:is )?{neg}" + LEVEL, level),
    (r"(?:there is |image show )?{neg}" + LEVEL + r" {q}", level),
    (r"(?:image |it )?(?:is )?{neg}{rel}{v}", temperature),
    # Sizes.
    (
        r"{k} (?:does )?{neg}(?:cover |is |have |show |mapped )?(?:area )?{rel}{v}(?: long| wide|"
        r" large)?{mapped}",
        extent,
    ),
    (r"(?:area |length |total )+{k} (?:is )?{neg}{rel}{v}{mapped}", extent),
    (r"(?:there is |image show )?{rel}{v} {k}{mapped}", extent),
    # It cannot be told.
    (r"{x}(?: .*)? impossible(?: .*)?", cannot),
    (r"(?:.* )?impossible (?:.* )?{x}(?: .*)?", cannot),
]


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
