"""A text as clauses of the verifier's few words: `is there any woodland in the upper left?` -> `is there C0 D1`.

Capital letters with a number stand for what was read there; `Reading.values` has it: B boxes, C a concept, D a part of
the chip, M a sensor, N a number, P a country, Q a quantity of the pixels, A the share of pixels that pass a quantity's
threshold, S a share, T a date, V a number with its unit, X what no image shows, Z a hemisphere.
"""

import re
from functools import cache
from typing import Any

from tasks.dialogue import boxes as text_boxes
from tasks.dialogue.verifier.expressions import Taken, Where
from tasks.dialogue.verifier.lexicon import MONTHS, Lexicon, table
from tasks.dialogue.verifier.normal import words_of
from tasks.dialogue.verifier.rules import rewritten, rule
from tasks.dialogue.verifier.shares import exact, with_shares
from tasks.dialogue.verifier.words import Reading
from tasks.earth.sensors import SENSORS

BRACKETS = re.compile(r"(?:<box>\s*)?\[{1,3}\s*-?\d[\d\s,.;\-\[\]]*\](?:\s*</box>)?")
WRITTEN_DATE = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
"""Day, month, year; with slashes it may be month, day, year, and is not read."""
ISO_DATE = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b|\b(\d{4})-(\d{2})\b")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TAKEN_OUT = re.compile(r"qq[a-j]q\d+")
"""A word for a value that was read before words are."""
UNITS = {
    "ha": ("area", 1e4), "km2": ("area", 1e6), "m2": ("area", 1.0), "km": ("length", 1e3), "metres": ("length", 1.0),
    "celsius": ("celsius", 1.0), "kelvin": ("kelvin", 1.0), "db": ("dB", 1.0),
}  # fmt: skip
VERTICAL = {"top": "north", "upper": "north", "bottom": "south", "lower": "south", "uppermost": "north"}
HORIZONTAL = {"left": "west", "right": "east", "lefthand": "west", "righthand": "east"}
COMPASS = {name + end: name for name in ("north", "south", "east", "west") for end in ("", "ern", "erly", "ernmost")}
JOINED = {v + h + end: f"{v}-{h}" for v in ("north", "south") for h in ("east", "west") for end in ("", "ern", "erly")}
CENTRE = dict.fromkeys(("centre", "center", "middle", "central", "core", "heart"), "centre")
SIDES = frozenset(
    (
        "part", "parts", "corner", "third", "section", "side", "edge", "quadrant", "region", "area", "portion",
        "margin", "zone", "end", "sector", "hand", "flank",
    )
)  # fmt: skip
LEADING = frozenset(["in", "at", "on", "to", "towards", "toward", "into", "near", "along", "across", "the", "from"])
IMAGES = frozenset(("image", "scene", "picture", "tile", "chip", "area", "patch", "view", "frame", "photo"))
HEMISPHERES = frozenset(("northern", "southern", "eastern", "western"))
STOPS = frozenset(".?!\n")
FRACTIONS = {
    "half": 0.5, "fourth": 0.25, "fourths": 0.25, "third": 1 / 3, "thirds": 1 / 3, "quarter": 0.25, "quarters": 0.25,
    "fifth": 0.2, "fifths": 0.2, "tenth": 0.1, "tenths": 0.1, "eighth": 0.125, "eighths": 0.125, "sixth": 1 / 6,
    "sixths": 1 / 6,
}  # fmt: skip


def read(text: str, lexicon: Lexicon, reading: Reading | None = None) -> Reading:
    """Clauses of a text; the values of `reading` are kept, so that words of both can stand together."""
    out = Reading([], reading.values if reading else [])
    taken_out: list[str] = []

    def put(letter: str, value: Any) -> str:
        taken_out.append(out.note(letter, value))
        return f" qq{'abcdefghij'[len(taken_out) % 10]}q{len(taken_out) - 1} "

    text = rewritten(text, REWORDED)
    if "[" in text:
        text = BRACKETS.sub(lambda found: put("B", _boxes(found.group())), text)
    text = WRITTEN_DATE.sub(lambda found: f"{found[3]}-{int(found[2]):02d}-{int(found[1]):02d}", text)
    text = ISO_DATE.sub(lambda found: put("T", _iso(found)), text)
    for name, pattern in _sensors() if _any_sensor().search(text) else ():
        text = pattern.sub(lambda found, name=name: put("M", (name, found.group().strip())), text)  # type: ignore[misc]
    words = words_of(text)
    if taken_out:
        words = [taken_out[int(w[4:])] if TAKEN_OUT.fullmatch(w) else w for w in words]
    clause: list[str] = []
    index = 0
    while index < len(words):
        if words[index] in STOPS:
            out.clauses.append(" ".join(clause))
            clause, index = [], index + 1
            continue
        used, found = _next(words, index, lexicon, out)
        clause += found
        index += used
    out.clauses.append(" ".join(clause))
    out.clauses = [joined for one in out.clauses if (joined := with_shares(" ".join(one.split()), out))]
    return out


def _next(words: list[str], at: int, lexicon: Lexicon, out: Reading) -> tuple[int, list[str]]:
    """How many words are read at once, and what stands for them."""
    word = words[at]
    if word[0].isupper():
        return 1, [word]
    if word == ";":
        return 1, [","]
    phrase = lexicon.longest(words, at)
    if phrase is not None and phrase[1].kind == "concept":
        return phrase[0], [out.note("C", phrase[1].value)]
    for reader in (_date, _direction, _measure):
        found = reader(words, at, out)
        if found is not None and (phrase is None or found[0] >= phrase[0]):
            return found
    if phrase is None:
        return 1, [word]
    used, meaning = phrase
    if meaning.kind == "word":
        return used, [meaning.value] if meaning.value else []
    if meaning.kind == "image":
        return used, ["image"]
    letter = {"quantity": "Q", "area": "A", "place": "P", "season": "T", "unseen": "X"}[meaning.kind]
    value = Taken(season=meaning.value) if meaning.kind == "season" else meaning.value
    return used, [out.note(letter, value)]


def _date(words: list[str], at: int, out: Reading) -> tuple[int, list[str]] | None:
    """16 February 2017, February 16, 2017, February 2017, 2017."""
    if not (words[at][0].isdigit() or words[at] in MONTHS):
        return None
    rest = [*words[at : at + 5], "", "", "", "", ""]
    if rest[0].isdigit() and rest[1] == "of" and rest[2] in MONTHS:
        rest.pop(1)
        shift = 1
    else:
        shift = 0
    if rest[0].isdigit() and rest[1] in MONTHS and int(rest[0]) <= 31:
        year = int(rest[2]) if re.fullmatch(r"\d{4}", rest[2]) else None
        value = Taken(year, MONTHS.index(rest[1]) + 1, int(rest[0]))
        return 2 + shift + (year is not None), [out.note("T", value)]
    # "may" is a verb as often: a month only beside a number.
    if rest[0] in MONTHS and (rest[0] != "may" or rest[1].isdigit() or words[at - 1 : at] == ["in"]):
        month = MONTHS.index(rest[0]) + 1
        if re.fullmatch(r"\d{1,2}", rest[1]) and int(rest[1]) <= 31:
            comma = rest[2] == ","
            year_at = 3 if comma else 2
            year = int(rest[year_at]) if re.fullmatch(r"\d{4}", rest[year_at]) else None
            used = (year_at + 1) if year else 2
            return used, [out.note("T", Taken(year, month, int(rest[1])))]
        skip = 2 if rest[1] in ("of", ",") else 1
        if re.fullmatch(r"(?:19|20)\d\d", rest[skip]):
            return skip + 1, [out.note("T", Taken(int(rest[skip]), month))]
        return 1, [out.note("T", Taken(month=month))]
    if re.fullmatch(r"(?:19|20)\d\d", rest[0]) and rest[1] not in (*UNITS, "percent"):
        return 1, [out.note("T", Taken(int(rest[0])))]
    return None


def _direction(words: list[str], at: int, out: Reading) -> tuple[int, list[str]] | None:
    """The upper left corner, in the north western part, the southern half, north of."""
    index = at
    while index < len(words) and words[index] in LEADING:
        index += 1
    start = index
    vertical = horizontal = ""
    while index < len(words):
        word = words[index]
        if word in JOINED:
            vertical, horizontal = JOINED[word].split("-")
        elif word in CENTRE:
            pass
        elif (VERTICAL.get(word) or (COMPASS.get(word, "") in ("north", "south") and COMPASS[word])) and not vertical:
            vertical = VERTICAL.get(word) or COMPASS[word]
        elif (HORIZONTAL.get(word) or (COMPASS.get(word, "") in ("east", "west") and COMPASS[word])) and not horizontal:
            horizontal = HORIZONTAL.get(word) or COMPASS[word]
        elif word == "hand" and horizontal:
            pass
        else:
            break
        index += 1
    if index == start:
        return None
    name = "-".join(part for part in (vertical, horizontal) if part) or "centre"
    following = words[index] if index < len(words) else ""
    if following == "hemisphere" and words[index - 1] in HEMISPHERES and index - start == 1:
        return index + 1 - at, [out.note("Z", words[index - 1])]
    half = following in ("half", "halves") and "-" not in name and name != "centre"
    if half or following in SIDES:
        index += 1
        while index < len(words) and words[index] in SIDES:
            index += 1
    ahead = words[index : index + 2]
    if ahead[:1] in (["of"], ["from"]) and ahead[1:] and not half and following not in SIDES:
        # "north of the lake" is a direction from it; "the north of the image" a part of the image.
        beyond = [word for word in words[index + 1 : index + 4] if word not in ("the", "this", "that", "a")]
        if beyond and beyond[0] not in IMAGES:
            return index + 1 - at, ["beyond", out.note("D", Where(name))]
    return index - at, [out.note("D", Where(name, half))]


def _measure(words: list[str], at: int, out: Reading) -> tuple[int, list[str]] | None:
    """Numbers, with their unit, and fractions in words."""
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    if NUMBER.fullmatch(word):
        value = float(word)
        if following == "percent":
            return 2, [out.note("S", exact(value / 100, 0.06))]
        if following in UNITS:
            unit, factor = UNITS[following]
            return 2, [out.note("V", (unit, value * factor))]
        if following in FRACTIONS and following != "half":
            return 2, [out.note("S", exact(value * FRACTIONS[following], 0.06))]
        return 1, [out.note("N", value)]
    if word == "one" and following in FRACTIONS:
        return 2, [out.note("S", exact(FRACTIONS[following], 0.06))]
    if word == "half" or (
        word in ("third", "quarter", "fourth", "fifth", "tenth", "eighth", "sixth")
        and words[max(at - 1, 0)] in ("a", "an", "good", "full", "bare")
    ):
        return 1, [out.note("S", exact(FRACTIONS[word], 0.07))]
    return None


I = re.IGNORECASE  # noqa: E741
REWORDED = (
    rule(
        "ight|orrect|that|rue|air|say|tate|onfirm",
        r"\b(?:am i (?:right|correct)(?: (?:in|to) (?:thinking|saying|assuming|believing|think|say|assume))?(?: that)?|"
        r"(?:would|is|will) it (?:be )?(?:correct|right|true|fair|accurate|a fact)(?: to (?:say|state|claim|conclude))?"
        r"(?: that)?|"
        r"(?:can|could|may|do|would) (?:we|one|you|it be) (?:say|said|confirm|conclude|state|claim|agree)(?: that)?) "
        r"(?=\w)",
        "is it true that ",
        I,
    ),
    rule("t least", r"\bat least (?:some|any|a bit of|a little)\b", "some", I),
    rule("ot that", r"\bnot that i can (?:see|tell)\b", "no", I),
    rule(
        "hole|ntire|ll",
        r"\b(?:nearly|almost|practically|virtually|just about) (?:the )?(?:whole|entire|all(?: of)?(?: the)?) "
        r"(?:image|scene|picture|tile|area|chip|view|place|it)\b",
        "nearly all",
        I,
    ),
    rule(" a|half", r"\b(?:hardly|barely|scarcely) (?=an? |one |\d|half)", "less than ", I),
    rule("o what", r"\bto what (?:extent|degree)\b", "how much", I),
    rule(
        "tatement",
        r"(?:is )?(?:the |this )?(?:following )?statement (?:true|correct|right)\s*[:,]",
        "is it true that",
        I,
    ),
    rule(
        " of th",
        r"\b(?:any|some|a bit|any part|some part|any parts|some parts) of (?:the|this) "
        r"(?:image|scene|picture|area|tile|chip|ground|view|land)\b",
        "someplace",
        I,
    ),
    rule(".|)", r"(?:\s|^)\d{1,2}[.)]\s+(?=[A-Za-z])", ", "),
    rule("-|*|\N{BULLET}", r"(?:^|\n)\s*[-*\N{BULLET}]\s+(?=\D)", ", "),
    rule("\n", r"\n\s*\d{1,2}[.)]\s+(?=\D)", ", "),
    rule(
        "ny|no|ittle|ew",
        r"\b(?:hardly|barely|scarcely)\s+any(?:thing)?\b|"
        r"\b(?:next to|almost|virtually|practically|nearly|as good as)\s+no(?:ne|thing)?\b|"
        r"\bvery little\b|\b(?:little|few),? if any\b",
        " scarce ",
        I,
    ),
)
"""Turns of phrase that are read more easily in other words."""


def _boxes(text: str) -> tuple[Any, ...] | None:
    """Boxes in fractions; None where they cannot be read, or are turned."""
    found = text_boxes.find(re.sub(r"</?box>", "", text))
    if found.refused or not len(found.boxes) or (found.boxes[:, 4] != 0).any():
        return None
    centre, size = found.boxes[:, :2], found.boxes[:, 2:4]
    low, high = centre - size / 2, centre + size / 2
    return tuple((float(a), float(b), float(c), float(d)) for (a, b), (c, d) in zip(low, high, strict=True))


def _iso(found: re.Match[str]) -> Taken:
    year, month, day, other_year, other_month = found.groups()
    if day:
        return Taken(int(year), int(month), int(day))
    return Taken(int(other_year), int(other_month))


@cache
def _any_sensor() -> re.Pattern[str]:
    return re.compile("|".join(pattern.pattern for _, pattern in _sensors()), re.IGNORECASE)


@cache
def _sensors() -> list[tuple[str, re.Pattern[str]]]:
    """What metadata and people call each sensor, with the letter of its platform."""
    out = []
    for sensor in SENSORS.values():
        if sensor.platforms:
            out.append((sensor.name, re.compile(rf"(?:{sensor.platforms})(?:[a-d]\b)?", re.IGNORECASE)))
        out.append((sensor.name, re.compile(rf"\b{re.escape(sensor.name)}\b", re.IGNORECASE)))
    out.append(
        (
            "radar",
            re.compile(
                r"\b(?:synthetic[ -]aperture[ -]radar|sar|radar)\b(?! (?:backscatter|return|signal|echo))",
                re.IGNORECASE,
            ),
        )
    )
    out.append(("optical", re.compile(r"\b(?:optical|multispectral)\b", re.IGNORECASE)))
    return out


def unseen_needs(topic: str) -> str:
    """The quantity without which a topic cannot be seen; empty where no image shows it."""
    return str(table()["unseen_needs"].get(topic, ""))
