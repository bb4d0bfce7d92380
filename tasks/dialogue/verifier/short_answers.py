"""Answers that are nothing but the value asked for."""

import re

from tasks.dialogue.verifier.clauses import listed
from tasks.dialogue.verifier.expressions import (
    Adjacent,
    And,
    Boxes,
    Changed,
    Complete,
    Concept,
    Count,
    Expression,
    Extent,
    Extreme,
    Hemisphere,
    Interval,
    Located,
    Not,
    Position,
    Presence,
    Quantity,
    Region,
    Sensed,
    Share,
    Taken,
    Where,
    both,
)
from tasks.dialogue.verifier.open_questions import MOST, Question
from tasks.dialogue.verifier.reading import UNITS
from tasks.dialogue.verifier.sentences import LEVELS, bounded, quantity
from tasks.dialogue.verifier.shares import exact
from tasks.dialogue.verifier.turns_of_phrase import OPENING
from tasks.dialogue.verifier.words import Reading


def short_answer(asked: Question, clause: str, reading: Reading) -> Expression | None:
    """An answer that is nothing but the value asked for; None where it is not."""
    text = clause
    while (shorter := OPENING.sub("", text)) != text:
        text = shorter
    text = re.sub(r" (?:mapped|present|there|in total|total|image|class|see|cover|is|does)$", "", text).strip(" ,")
    words = listed(text, reading).split()
    if asked.kind == "extreme" and len(words) == 2 and words[0][0] == "S" and reading.of(words[0]) == MOST:
        words = words[1:]  # "mostly forest"
    relation = (
        words.pop(0)
        if len(words) > 1 and words[0] in ("about", "over", "under", "atleast", "atmost", "exactly")
        else ""
    )
    if clause.split()[0] in ("about", "exactly") and not relation:
        relation = clause.split()[0]
    if asked.kind == "which" and (found := _which(asked, text, reading)) is not None:
        return found
    if asked.kind in ("sensor", "date", "country") and len(words) > 1:
        return _several(asked, words, reading)
    if len(words) == 2 and words[1] in ("it", "image", "share") and words[0] in ("none", "no", "neither", "nothing"):
        words = words[:1]
    if asked.kind == "position" and len(words) == 2 and words[0][0] == "S" and reading.of(words[0]) == MOST:
        words = words[1:]  # "mostly in the east"
    between = re.fullmatch(r"(?:about )?(?:between |from )?(N\d+) (?:to|and) (N\d+)", text)
    if between and asked.kind == "quantity":
        return Quantity(asked.extra, Interval(*sorted((reading.of(between[1]), reading.of(between[2])))))
    if asked.kind == "region" and len(words) == 2 and words[0][0] == "S" and reading.of(words[0]) == MOST:
        words = words[1:]  # "mostly forest"
    word = words[0] if len(words) == 1 else ""
    value = reading.of(word) if re.fullmatch(r"[A-Z]\d+", word) else None
    return _value(asked, word, value, relation, reading)


def _which(asked: Question, text: str, reading: Reading) -> Expression | None:
    """Both, neither, all but one of those that are asked about."""
    about = asked.concepts(reading)
    if re.fullmatch(r"(?:both|all|S\d+|all of it|all them|both them)(?: is)?", text):
        return both(*(Presence(c) for c in about))
    if re.fullmatch(r"(?:neither|none|neither them|none them|no|nothing)(?: is)?", text):
        return both(*(Not(Presence(c)) for c in about))
    left_out = re.fullmatch(
        r"(?:both|all|S\d+|everything|anything|they|image show both|image show all)? ?(?:except|but) (C\d+)", text
    )
    if left_out:
        gone = reading.of(left_out[1])
        return both(*(Not(Presence(c)) if c == gone else Presence(c) for c in about))
    return None


def _several(asked: Question, words: list[str], reading: Reading) -> Expression | None:
    """A date in two parts, a sensor with its kind."""
    parts = [w for w in words if w not in ("and", ",", "in", "image", "on", "taken", "is", "sensor")]
    made: list[Expression] = []
    for part in parts:
        value = reading.of(part) if re.fullmatch(r"[A-Z]\d+", part) else None
        found = _value(asked, part, value, "", reading)
        if found is None:
            return None
        made.append(found)
    return both(*made) if made else None


def _value(asked: Question, word: str, value: object, relation: str, reading: Reading) -> Expression | None:
    kind, letter = asked.kind, word[:1]
    concepts = asked.concepts(reading)
    concept = concepts[0] if concepts else None
    if word in ("none", "nothing", "no", "neither"):
        if kind == "count" and concept:
            return Count(concept, Interval(0, 0), asked.mapped)
        return Not(Presence(concept)) if concept and kind in ("share", "position", "boxes", "size") else None
    if letter == "S" and isinstance(value, Interval):
        if kind in ("share", "size") and concept:
            return Share(concept, value, asked.mapped)
        return Quantity(asked.extra, value, "share") if kind == "vegetated" else None
    if letter == "N" and isinstance(value, float):
        return _number(asked, concept, value, relation)
    if letter == "V" and isinstance(value, tuple):
        unit, number = value
        if kind in ("size", "share") and concept and unit in ("area", "length"):
            return Extent(concept, bounded(number, relation, abs(number) * 0.15), unit == "length", asked.mapped)
        return quantity(asked.extra, value, relation) if kind == "quantity" else None
    if letter == "D" and isinstance(value, Where) and concept and kind in ("position", "boxes"):
        return Position(concept, value, asked.extra == "largest")
    if letter == "B" and isinstance(value, tuple) and concept and kind in ("boxes", "position"):
        return Boxes(concept, value, "largest" if asked.extra == "largest" else "all")
    if letter in ("C", "L") and value is not None:
        return _named(asked, [value] if isinstance(value, Concept) else list(value), reading)  # type: ignore[call-overload]
    simple = {"date": ("T", Taken), "country": ("P", str), "hemisphere": ("Z", str), "sensor": ("M", tuple)}
    if kind in simple and letter == simple[kind][0]:
        if kind == "date":
            return value  # type: ignore[return-value]
        if kind == "sensor":
            return both(*dict.fromkeys(Sensed(str(one)) for one in value))  # type: ignore[attr-defined]
        return Located(str(value)) if kind == "country" else Hemisphere(str(value))
    if word in LEVELS and kind == "quantity":
        return Quantity(asked.extra, LEVELS[word]) if asked.extra == "ndvi" else None
    return None


def _number(asked: Question, concept: Concept | None, value: float, relation: str) -> Expression | None:
    if asked.kind == "count" and concept:
        return Count(concept, bounded(value, relation, 0.0), asked.mapped)
    if asked.kind == "size" and concept and asked.extra in UNITS:
        kind, factor = UNITS[asked.extra]
        size = value * factor
        return Extent(concept, bounded(size, relation, size * 0.15), kind == "length", asked.mapped)
    if asked.kind == "size" and concept and asked.extra == "percent":
        return Share(concept, exact(value / 100, 0.06), asked.mapped)
    if asked.kind == "share" and concept and 1 < value <= 100:
        value /= 100
    if asked.kind == "share" and concept and 0 <= value <= 1:
        return Share(concept, exact(value, 0.06), asked.mapped)
    if asked.kind == "quantity" and asked.extra == "temperature":
        # The question names the unit: "in degrees Celsius".
        return quantity(asked.extra, (asked.unit, value), relation) if asked.unit else None
    return quantity(asked.extra, value, relation) if asked.kind == "quantity" else None


def _named(asked: Question, concepts: list[Concept], reading: Reading) -> Expression | None:
    kind = asked.kind
    if kind == "extreme":
        among = asked.concepts(reading)
        return Extreme(concepts[0], asked.extra == "smallest", asked.mapped, among) if len(concepts) == 1 else None
    if kind == "list":
        present = tuple(Presence(concept) for concept in concepts)
        return And((*present, Complete(tuple(concepts), asked.ordered, asked.mapped)))
    if kind == "else":
        present = tuple(Presence(concept) for concept in concepts)
        return And((*present, Complete((*concepts, *asked.concepts(reading)), mapped=asked.mapped)))
    if kind == "region":
        made = [
            Region(concept, box) for concept in concepts for word in asked.subjects for box in reading.of(word) or ()
        ]
        return both(*made) if made else None
    if kind == "there":
        return both(*(Presence(concept, reading.of(asked.extra)) for concept in concepts))
    if kind == "which":
        asked_about = asked.concepts(reading)
        return both(*(Presence(c) if c in concepts else Not(Presence(c)) for c in asked_about))
    if kind == "neighbours":
        other = asked.concepts(reading)[0]
        return both(*(Adjacent(concept, other) for concept in concepts))
    if kind == "change":
        return both(*(Changed(concept) for concept in concepts))
    return both(*(Presence(concept) for concept in concepts)) if kind == "describe" else None
