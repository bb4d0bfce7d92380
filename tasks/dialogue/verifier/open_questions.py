"""Open questions, by their words: whatever their order, none of them may be unknown."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tasks.dialogue.verifier.expressions import Concept, Expression, Interval
from tasks.dialogue.verifier.lexicon import table
from tasks.dialogue.verifier.reading import UNITS
from tasks.dialogue.verifier.sentences import THRESHOLDS
from tasks.dialogue.verifier.words import Reading

MOST = Interval(0.5, 1.0)
SIZES = (*(name for name, (kind, _) in UNITS.items() if kind in ("area", "length")), "percent")
"""What a size is asked for in."""
ASKING = frozenset(
    (
        "what", "which", "how", "where", "when", "count", "compare", "number", "locate", "describe", "class", "share",
        "sensor", "country", "season", "year", "month", "date", "see", "box", "percent",
    )
)  # fmt: skip
"""Words of which an open question has at least one."""
EXTENSIVE = frozenset(("large", "big", "long", "wide", "high", "widespread", "extensive", "common", "length"))


@dataclass(frozen=True)
class Question:
    """What is asked."""

    kind: str
    """yes-no, which, about, compare, else, share, size, count, position, boxes, extreme, list, region, there,
    neighbours, quantity, date, country, sensor, hemisphere, describe, change, vegetated or unseen."""
    expression: Expression | None = None
    """Of yes-no: what "yes" asserts. Of others: what whoever asks takes for granted."""
    subjects: tuple[str, ...] = ()
    """Words of `Reading` for what is asked about."""
    extra: str = ""
    """largest or smallest; unit of a size; part that is asked about; the quantity."""
    mapped: bool = False
    ordered: bool = False
    around: bool = False
    """Whether what lies around the chip counts too."""
    unit: str = ""
    """That the answer is asked for in."""

    def concepts(self, reading: Reading) -> tuple[Concept, ...]:
        """What is asked about, one by one."""
        found = [reading.of(word) for word in self.subjects if word[0] in "CLO"]
        return tuple(one for value in found for one in ((value,) if isinstance(value, Concept) else value))


class _Clause:
    """A clause by its words."""

    def __init__(self, clause: str, reading: Reading, subject: tuple[str, ...]) -> None:
        self.reading = reading
        self.words = clause.split()
        self.has = set(self.words)
        self.named = re.findall(r"\b[CLO]\d+\b", clause)
        self.values = {letter: re.findall(rf"\b{letter}\d+\b", clause) for letter in "XBDQATPMZSNV"}
        if not self.named and self.has & {"it", "they", "them", "its"}:
            self.named = [name for name in subject if name[0] == "C"][:1]
        most = [word for word in self.values["S"] if reading.of(word) == MOST]
        if most and not self.named and self.has & {"cover", "dominate", "show", "is"}:
            self.has.add("largest")

    @property
    def one(self) -> bool:
        """Whether it is about one kind of thing."""
        return len(self.named) == 1 and self.named[0][0] == "C"

    @property
    def several(self) -> bool:
        """Whether it is about two or more."""
        return len(self.named) > 1 or (len(self.named) == 1 and self.named[0][0] in "LO")

    @property
    def ordered(self) -> bool:
        """Whether it asks for a list by size."""
        return (
            bool(self.has & {"rank", "order", "sorted", "descending", "first"}) or {"largest", "smallest"} <= self.has
        )

    @property
    def extreme(self) -> str:
        """largest or smallest, if it asks for that."""
        if self.ordered:
            return ""
        if self.has & {"smallest", "less", "lowest"}:
            return "smallest"
        return "largest" if self.has & {"largest", "more", "dominate", "dominated", "main", "most"} else ""

    def asked(self, kind: str, extra: str = "", subjects: tuple[str, ...] | None = None) -> Question:
        """It as a question of a kind."""
        about = tuple(self.named) if subjects is None else subjects
        unit = next((word for word in ("celsius", "kelvin", "db") if word in self.has), "")
        return Question(kind, None, about, extra, "mapped" in self.has, self.ordered, "nearby" in self.has, unit)


@cache
def _known_words() -> frozenset[str]:
    return frozenset(table()["questions"]["words"].split()) | frozenset(table()["words"])


def open_question(clause: str, reading: Reading, subject: tuple[str, ...]) -> Question | None:
    """A clause as a question for something; None where not all of it is understood.

    Args:
        clause: tidy.
        reading: has its values.
        subject: words that "it" stands for, from the pair before.
    """
    c = _Clause(clause, reading, subject)
    found = None
    if all(re.fullmatch(r"[A-Z]\d+", word) or word in _known_words() for word in c.words) and (
        c.has & ASKING or c.values["X"]
    ):
        found = next((made for rule in RULES if (made := rule(c)) is not None), None)
    if found is None and c.values["X"]:
        # What no image shows is not understood any further: it is enough that it cannot be told.
        return c.asked("unseen", reading.of(c.values["X"][0]), tuple(c.values["X"]))
    return found if found is None or found.kind else None


NOTHING = Question("")
"""A rule says that its question is of no kind that is known."""


def _refused(c: _Clause) -> Question | None:
    """Negations and values in a question change what is asked."""
    if "except" in c.has:
        return c.asked("else") if "else" in c.has and c.one and c.has & {"what", "which"} else NOTHING
    plain = not (c.has & {"not", "no", "lack", "absent"} or any(c.values[letter] for letter in "NTPM"))
    if plain and c.values["S"]:
        plain = c.extreme == "largest" or bool(c.has & {"cover", "dominate"})
    return None if plain else NOTHING


def _of_pixels(c: _Clause) -> Question | None:
    if c.values["X"] and not c.named:
        topic = c.reading.of(c.values["X"][0])
        if topic == "temperature":
            return c.asked("quantity", "temperature")
        return c.asked("unseen", topic, tuple(c.values["X"]))
    if c.values["Q"] and c.values["N"]:
        name, value = c.reading.of(c.values["Q"][0]), c.reading.of(c.values["N"][0])
        much = c.has & {"much", "share"} and "over" in c.has
        return c.asked("vegetated", name) if much and THRESHOLDS.get(name) == value else NOTHING
    if c.values["Q"]:
        return NOTHING if c.named else c.asked("quantity", c.reading.of(c.values["Q"][0]))
    return None


def _of_the_chip(c: _Clause) -> Question | None:
    """When, where on Earth and by what it was taken."""
    if c.named:
        return None
    if c.has & {"when", "year", "month", "season", "date"}:
        return c.asked("date")
    kind = next((word for word in ("country", "sensor", "hemisphere") if word in c.has), "")
    if not kind and "where" in c.has and not c.has & {"box"}:
        kind = "country"
    return c.asked(kind) if kind else None


def _of_boxes(c: _Clause) -> Question | None:
    which = "largest" if "largest" in c.has else "all"
    if c.values["B"]:
        return NOTHING if c.named else c.asked("region", subjects=tuple(c.values["B"]))
    if c.named and (c.has & {"box", "coordinates"} or (c.words[0] in ("locate", "see") and "where" not in c.has)):
        return c.asked("boxes", which) if c.one else NOTHING
    if "where" in c.has:
        return c.asked("position", which if which == "largest" else "") if c.one else NOTHING
    return None


def _of_two(c: _Clause) -> Question | None:
    if "compare" in c.has:
        return c.asked("compare") if c.several else NOTHING
    if "adjacent" in c.has:
        return c.asked("neighbours") if c.one else NOTHING
    return c.asked("extreme", c.extreme) if c.several and c.extreme else None


def _of_numbers(c: _Clause) -> Question | None:
    unit = next((word for word in c.words if word in SIZES), "")
    if c.has & {"count", "number"} and not unit:
        return c.asked("count") if c.one and not c.values["D"] else NOTHING
    if c.has & {"count", "number"}:
        return c.asked("size", unit) if c.one else NOTHING
    much = c.has & {"share", "much", "percent", "area", "length"} or ("how" in c.has and c.has & EXTENSIVE)
    if c.named and much:
        return c.asked("share") if c.one and not c.values["D"] and not c.extreme else NOTHING
    if c.values["A"]:
        return NOTHING if c.named else c.asked("vegetated", c.reading.of(c.values["A"][0]), tuple(c.values["A"]))
    return None


def _of_classes(c: _Clause) -> Question | None:
    if c.extreme:
        return NOTHING if c.one else c.asked("extreme", c.extreme)
    if c.several:
        asks = c.has & {"what", "which"} and c.has & {"present", "see", "show", "there"}
        return c.asked("which") if asks else NOTHING
    if c.one:
        return c.asked("about") if c.has & {"say", "said", "describe", "about"} else NOTHING
    if c.has & {"change", "changed", "changes", "happen"}:
        return c.asked("change")
    if c.values["D"]:
        return c.asked("there", c.values["D"][0])
    return c.asked("describe" if "describe" in c.has else "list")


RULES: tuple[Callable[[_Clause], Question | None], ...] = (
    _of_pixels, _refused, _of_the_chip, _of_boxes, _of_two, _of_numbers, _of_classes,
)  # fmt: skip
"""The first that says something counts."""
