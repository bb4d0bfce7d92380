"""What a question about a series asks, and what its answer says, read from their words alone.

A closed grammar: what is not one of these sentences is not understood, and so not checkable.
"""

import re
from dataclasses import dataclass

from tasks.dialogue.series.facts import PARTS
from tasks.earth.series_measures import INDEX
from tasks.earth.spectral_rules import CLASSES

ORDINALS = ("first", "second", "third", "fourth")
UNKNOWN = "unknown"
CHANGES = {"increased": +1, "decreased": -1, "stayed about the same": 0}
"""How a change is answered -> its sign."""
_HOW = re.compile(r" (?:please )?answer in (?:a|one)(?: full)? sentence\.$| please answer in one sentence\.$")
_Q = r"(?P<quantity>.+?)"
_QUESTIONS = {
    "change": (
        rf"did the {_Q} increase, decrease or stay about the same from the first image to the last\?",
        rf"how did the {_Q} change from the first image to the last\?",
    ),
    "where": (
        rf"in which part of the area did the {_Q} (?P<way>increase|decrease) most from the first image to the last\?",
        rf"where did the {_Q} (?P<way>increase|decrease) most from the first image to the last\?",
    ),
    "which": (
        rf"which of the images shows the (?P<way>highest|lowest) {_Q}\?",
        rf"which image has the (?P<way>highest|lowest) {_Q}\?",
    ),
    "date": (
        rf"the images were taken on (?P<dates>[\d, and-]+)\. on which date was the {_Q} (?P<way>highest|lowest)\?",
    ),
    "radar": (r"which of the images was taken by a radar\?", r"which image is a radar image\?"),
    "taken": (r"which of the images was taken (?P<way>first|last)\?", r"which image was taken (?P<way>first|last)\?"),
    "place": (
        rf"in which part of the area is the {_Q} (?P<way>highest|lowest)\?",
        rf"where in the area is the {_Q} (?P<way>highest|lowest)\?",
    ),
    "same-place": (
        rf"is the part of the area with the (?P<way>highest|lowest) {_Q} also the one with the "
        r"(?P<way2>highest|lowest) (?P<quantity2>.+?)\?",
    ),
    "smooth": (
        r"is the open water of the optical image dark in the radar image\?",
        r"does the radar image show the open water of the optical image dark\?",
    ),
}  # fmt: skip
_PATTERNS = [(kind, re.compile(pattern)) for kind, some in _QUESTIONS.items() for pattern in some]
_NOT = re.compile(r"\bnot\b|n't\b|\bno\b|\bneither\b")


@dataclass(frozen=True)
class Asked:
    """What a question asks."""

    kind: str
    """change, where, which, date, radar, taken, place, same-place or smooth."""
    quantity: str = ""
    """Name of it in `tasks.earth.series_measures`."""
    way: int = 0
    """+1 for highest, last and increase, -1 for lowest, first and decrease."""
    quantity2: str = ""
    way2: int = 0
    dates: tuple[str, ...] = ()
    """That the question says the images were taken on."""


def said(quantity: str) -> str:
    """How a quantity is spoken of."""
    if quantity == INDEX:
        return "vegetation index"
    return f"share of {quantity}" if quantity in CLASSES else f"{quantity.upper()} backscatter"


def _quantity(text: str) -> str | None:
    if text in ("vegetation index", INDEX):
        return INDEX
    if text.startswith("share of ") and text.removeprefix("share of ") in CLASSES:
        return text.removeprefix("share of ")
    found = re.fullmatch(r"([a-z]{2}) backscatter", text)
    return found.group(1) if found else None


def asked_of(question: str) -> Asked | None:
    """What a question asks; None where it is none of the sentences known here."""
    text = _HOW.sub("", " ".join(question.lower().split()))
    for kind, pattern in _PATTERNS:
        if match := pattern.fullmatch(text):
            groups = match.groupdict()
            names = [_quantity(groups[name]) for name in ("quantity", "quantity2") if groups.get(name)]
            if None in names:
                continue
            ways = [
                +1 if groups[name] in ("highest", "last", "increase") else -1
                for name in ("way", "way2")
                if groups.get(name)
            ]
            first, second = ([*names, "", ""])[:2]
            way, way2 = ([*ways, 0, 0])[:2]
            dates = tuple(re.findall(r"\d{4}-\d{2}-\d{2}", groups.get("dates") or ""))
            return Asked(kind, str(first), way, str(second), way2, dates)
    return None


def answer_to(asked: Asked, answer: str) -> str | None:
    """What an answer says, by a short key: a change of `CHANGES`, a part of the window, an ordinal, a date, yes, no, or
    `UNKNOWN`; None where it says none of what is asked, or two.
    """
    text = " ".join(answer.lower().split()).rstrip(".!")
    if re.search(r"\bcannot be told\b|\bcan't be told\b|\bcannot be said\b", text):
        return UNKNOWN
    if asked.kind == "change":
        words = {
            "increased": r"increased?\b",
            "decreased": r"decreased?\b",
            "stayed about the same": r"about the same\b",
        }
        found = [key for key, pattern in words.items() if re.search(pattern, text)]
        return found[0] if len(found) == 1 and not _NOT.search(text) else None
    if asked.kind in ("where", "place"):
        places = re.findall("|".join(rf"(?<![\w-]){part}(?![\w-])" for part in PARTS), text)
        return places[0] if len(set(places)) == 1 and not _NOT.search(text) else None
    if asked.kind in ("which", "radar", "taken"):
        # "The second image was taken first": the ordinal that stands before `image`, or the answer is that alone.
        named = re.findall(rf"\b({'|'.join(ORDINALS)}) (?:image|one)\b", text) or re.findall(
            rf"^(?:the )?({'|'.join(ORDINALS)})$", text
        )
        return named[0] if len(set(named)) == 1 and not _NOT.search(text) else None
    if asked.kind == "date":
        dates = set(re.findall(r"\d{4}-\d{2}-\d{2}", text))
        return dates.pop() if len(dates) == 1 and not _NOT.search(text) else None
    if text.startswith(("yes", "no")):
        word = "yes" if text.startswith("yes") else "no"
        denied = bool(_NOT.search(text.removeprefix("no").removeprefix("yes")))
        return None if denied == (word == "yes") and len(text.split()) > 1 else word
    return None
