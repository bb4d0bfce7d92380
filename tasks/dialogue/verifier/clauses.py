"""Answers as statements: whole clauses, clauses joined by and or but, lists of what is mentioned."""

import re
from collections.abc import Sequence

from tasks.dialogue.verifier.expressions import (
    And,
    Concept,
    Expression,
    Extreme,
    Not,
    Presence,
    Sensed,
    Share,
)
from tasks.dialogue.verifier.patterns import statement
from tasks.dialogue.verifier.rules import rewritten, rule
from tasks.dialogue.verifier.words import Reading

PREPOSITIONS = "in|of|on|within|across|throughout|from|over|inside|at|for|through|by|to|about|under"
TIDYING = (
    rule("image", r"\b(?:this|that|these|those|our|your|whole|entire|visible|all|shown) (?=image\b)"),
    rule("nearby", r"\bnearby (?:image|it|them|there|here)\b", "nearby"),
    rule("s", r"\b(C\d+) (?:areas|patches|parcels|features|objects|plots|sites|polygons)\b", r"\1"),
    rule("image", r"\b(share|largest|smallest|most|majority|S\d+)(?: area)? image\b", r"\1"),
    rule("show", r"\bshow [,:]", "show"),
    rule("V", r"\b(V\d+) (?:warm|hot|cold)$", r"\1"),
    rule(" and ", r"\b(there is|is there|image show|there) and (?=[CLO]\d)", r"\1 "),
    rule("S", r"\b(S\d+) of image\b", r"\1"),
    rule("instead", r" instead$"),
    rule("than", r", than\b", "than"),
    rule("mapped", r"\b(N\d+)(?: mapped)? (?:areas|patches|features|places) (?:is )?mapped\b", r"\1 mapped"),
    rule("s", r"\b(N\d+) (?:areas|patches|features|places)\b", r"\1"),
    rule("there", r"\b(present|see|is|cover) there$", r"\1"),
    rule("cover image", r"\bcover image(?: image)?\b(?= |$)(?! show)", "cover"),
    rule("image", rf"\b(?:{PREPOSITIONS}) image(?: image)?\b(?= |$)(?! show)"),
    rule("in |by ", r"\b(?:in|by) (?:area|share|number|total)\b"),
    rule("here", r"\bhere\b"),
    rule("between", r"\bbetween (?=L|C)"),
    rule("of|that", r"\b(?:of|that)\b"),
    rule("not no", r"\bnot no\b"),
    rule("absent", r"\bnot (?:is )?absent\b", "present"),
    rule("nor", r"\b(?:neither|no) (C\d+) nor (C\d+)\b", r"no \1 or \2"),
    rule("no C", r"\bno (C\d+) (?:,|and) no (C\d+)\b", r"no \1 or \2"),
    rule("both|either", r"\b(?:both|either) (?=C\d)"),
    rule("(|)", r"\(|\)", ","),
    rule(",|:", r"(?:[,:] ?)+", ", "),
    rule("  ", r" +", " "),
    rule(" or ", r"\bor (?:about|nearby)(?: it| image)?\b", "nearby"),
    rule("about it", r"\b(present|there|located) about it$", r"\1 nearby"),
    rule("all", r", all$"),
    rule("mean", r",? (?:on )?mean$|^on mean ?,? "),
    rule("located", r"\blocated (?=adjacent|beyond)"),
    rule(", yes", r"^(C\d+.*), yes$", r"\1"),
    rule("share", r"^share is (C\d+)$", r"there is \1"),
    rule("covered", r"^(?:image|it|box) (?:is )?covered (?:by )?(C\d+)$", r"image is \1"),
    rule("beyond", r"\bbeyond (D\d+) D\d+", r"\1"),
    rule("mapped", r"\b(N\d+) mapped (?:areas|patches|features|places)$", r"\1 mapped"),
    rule("image", r"^(?:it|this|image) is (C\d+) image\b", r"image show \1"),
    rule("where|which", r"^(?:area|land|place|site|image|class) (?:where|in which|which) (?=there|C\d|no |show|lack)"),
    rule("lack", r"\b(?:image show )?(?:land|ground|area|class) lack\b", "image lack"),
    rule("speak", r" to speak$"),
    rule("free", r"^(C\d+) free (?:image|class|area)$", r"image lack \1"),
    rule("area|land|place|site", r"^(?:area|land|place|site) (?=show|lack|there)", "image "),
)
"""In their order."""
LIST = re.compile(r"\bC\d+(?:(?: ,)?(?: and)? C\d+)+\b")
CHOICE = re.compile(r"\bC\d+(?: , C\d+)*(?: ,)? or C\d+\b")
SPLITS = re.compile(r" (?:, and|, but|, while|, with|,|and|but|while|with) ")
LONGEST = 60
"""Words of a clause; more are not read."""
ITEM = (
    r"(?:(?:some|mostly|mainly) )?(?P<top>largest class |dominated )?(?:(?P<before>S\d+) )?(?P<c>C\d+)"
    r"(?: (?:is |cover |, )?(?P<after>S\d+))?"
    r"(?: (?:mostly |mainly )?(?:is )?(?:located )?(?:in )?(?P<d>D\d+))?"
)
ONE = re.compile(ITEM)
COMPARED = re.compile(
    r"(?:there is |image show |it show )?(?:more|less) (?:is )?(?P<a>C\d+)|"
    r"(?:area |share |it is )?(?P<b>C\d+) (?:is |cover |have |does |show |cover largest )?"
    r"(?:more|less|under)(?: area| share)?"
)
"""A comparison that leaves out with what."""
LEAD = re.compile(
    r"^(?:(?P<m>M\d+) )?(?:image |it |there |see |what see is |chip |present |class )?"
    r"(?P<m2>M\d+ )?(?:image )?(?:is )?(?:show |dominated by |there |present |of )*"
)


def tidy(clause: str) -> str:
    """A clause without what says nothing, in one form."""
    return rewritten(clause, TIDYING).strip(" ,")


def listed(clause: str, reading: Reading) -> str:
    """A clause with each list of concepts as one word."""
    for letter, pattern in (("O", CHOICE), ("L", LIST)):
        clause = pattern.sub(
            lambda found, letter=letter: reading.note(  # type: ignore[misc]
                letter, tuple(reading.of(word) for word in re.findall(r"C\d+", found.group()))
            ),
            clause,
        )
    return clause


def assertions(clause: str, reading: Reading, subject: Sequence[str] = ()) -> Expression | None:
    """What a clause asserts; None where not all of it is understood.

    Args:
        clause: tidy.
        reading: has its values.
        subject: words that "it" and "they" stand for, the likeliest first.
    """
    if not clause or len(clause.split()) > LONGEST:
        return None
    if clause.startswith("untrue "):
        contrary = assertions(clause.removeprefix("untrue ").strip(" ,"), reading, subject)
        return Not(contrary) if contrary else None
    for candidate in _resolved(clause, subject, reading):
        found = (
            statement(listed(candidate, reading), reading)
            or statement(candidate, reading)
            or _mentions(candidate, reading)
        )
        if found is not None:
            return found
    for cut in SPLITS.finditer(clause):
        left = assertions(clause[: cut.start()].strip(" ,"), reading, subject)
        if left is None:
            continue
        words = clause[: cut.start()].split()
        again = next((word for word in words if word[0] == "C" and word[1:].isdigit()), None)
        right = assertions(clause[cut.end() :].strip(" ,"), reading, [again, *subject] if again else subject)
        if right is not None:
            return And((left, right))
    return None


def _resolved(clause: str, subject: Sequence[str], reading: Reading) -> list[str]:
    """The clause as it stands, and with what its pronoun may stand for."""
    out = [clause]
    named = [name for name in subject if name[0] == "C"]
    if len(named) > 1:
        pair = f"{named[0]} and {named[1]}"
        if re.match(r"(?:is |does )?(?:not )?adjacent", clause):
            out.append(f"{pair} {clause}")
        out.append(re.sub(r"^(?:they both|they|both|these)\b(?: class)?|\bboth\b|\bthem\b", pair, clause, count=1))
    for name in subject:
        for pattern in (
            r"^(?:it|they|this|these|those|this class|this one|area|both)\b(?: class)?",
            r"\b(?:it|them)\b",
            r"\bthem\b",
        ):
            changed = re.sub(pattern, name, clause, count=1)
            if changed != clause and changed not in out:
                out.append(changed)
        if re.match(
            r"^(?:is|cover|does|can|present|absent|located|over|under|about|S\d|D\d|V\d|B\d|more|less|not|adjacent)\b",
            clause,
        ):
            out.append(f"{name} {clause}")
        if re.match(
            r"^(?:there is|there|image show|see) (?:about |exactly |over |under |atleast |atmost )?"
            r"N\d+(?: mapped| present| see)?$",
            clause,
        ):
            out.append(f"{clause} {name}")
        if re.match(r"^(?:there is|there) (?:no|none|not)$|^no$|^none$", clause):
            out.append(f"no {name}")
        if re.match(r"^there is$", clause):
            out.append(f"there is {name}")
        counted = re.match(r"^((?:about |exactly )?N\d+) (?:can |can is |is )?(?:present|mapped|there)$", clause)
        if counted:
            out.append(f"{counted[1]} {name} is present")
    for one in list(out):
        short = COMPARED.fullmatch(one)
        if short:
            own = reading.of(short["a"] or short["b"])
            out += [f"{one} than {name}" for name in named if reading.of(name) != own][:1]
    return out


def _mentions(clause: str, reading: Reading) -> Expression | None:
    """A list of what there is, with its share or its place: mostly forest, with some water in the north."""
    lead = LEAD.match(clause)
    rest = clause[lead.end() :] if lead else clause
    parts: list[Expression] = []
    if lead:
        parts += [Sensed(one) for word in (lead["m"], lead["m2"]) if word for one in reading.of(word.strip())]
        if "dominated by" in lead.group():
            rest = f"dominated {rest}"
    items = [
        item
        for item in re.split(r" ?(?:, and|, with|, but|,|\band\b|\bwith\b|\bbut\b|\bwhile\b|\bshow\b) ?", rest)
        if item
    ]
    if not items:
        return None
    for item in items:
        negative = re.fullmatch(r"(?:no|not) (C\d+)", item)
        if negative:
            parts.append(Not(Presence(reading.of(negative[1]))))
            continue
        found = ONE.fullmatch(item.strip())
        if found is None:
            return None
        concept: Concept = reading.of(found["c"])
        place = reading.of(found["d"]) if found["d"] else None
        parts.append(Presence(concept, place))
        for name in ("before", "after"):
            if found[name]:
                parts.append(Share(concept, reading.of(found[name])))
        if found["top"]:
            parts.append(Extreme(concept))
    return And(tuple(parts)) if len(parts) > 1 else parts[0]
