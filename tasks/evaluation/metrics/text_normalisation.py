"""Texts as they are compared: numbers, sets, abstentions."""

import re
from functools import lru_cache
from math import inf, isfinite

from tasks.dialogue.boxes import INNERMOST

NUMBER = re.compile(r"[+-]?((\d{1,3}(,\d{3})+|\d+)(\.\d+)?|\.\d+)(e[+-]?\d{1,3})?")
BRACKETS = re.compile(r"[\[\]]+")
TAG = re.compile(r"</?(box|ref)>")
ABSTENTIONS = frozenset(
    [
        *[
            "",
            "unknown",
            "unanswerable",
            "uncertain",
            "unsure",
            "not sure",
            "i am not sure",
            "i'm not sure",
            "n/a",
            "na",
        ],
        *["i do not know", "i don't know", "do not know", "don't know", "cannot tell", "can't tell", "cannot say"],
        *["cannot be determined", "cannot determine", "not determinable", "not enough information", "no answer"],
    ]
)


@lru_cache(maxsize=200_000)
def normalise_text(text: str) -> str:
    """A text for exact comparison: case folded, single spaces, an ASCII minus, no final period or quotes around."""
    folded = " ".join(text.casefold().replace("\N{MINUS SIGN}", "-").split())
    return folded.strip("\"'").rstrip(".").strip()


@lru_cache(maxsize=200_000)
def class_name(text: str) -> str:
    """A class's name for comparison: normalised, without spaces, underscores and hyphens, in which data sets differ.

    A number is its value, however it is written: 3 and 3.0 are one class.
    """
    if text[:1].isdigit() and (value := number(text)) is not None:
        return f"{value:.15g}"
    return re.sub(r"[\s_-]+", "", normalise_text(text))


def label_set(text: str, separator: str = ",") -> frozenset[str]:
    """The classes of a list, whatever their order."""
    return frozenset(name for part in text.split(separator) if (name := class_name(part)))


def number(text: str) -> float | None:
    """The number that an answer is, with thousands separators or without; nothing if it is not one."""
    bare = normalise_text(text)
    value = float(bare.replace(",", "")) if NUMBER.fullmatch(bare) else inf
    return value if isfinite(value) else None


def same(answer: str, truth: str, mark: str = ",") -> bool:
    """Whether an answer is the truth: as texts, as numbers, or as sets where the truth is a list, parted by `mark`."""
    if normalise_text(answer) == normalise_text(truth):
        return True
    expected = number(truth)
    if expected is not None:
        return number(answer) == expected
    return mark in truth and label_set(answer, mark) == label_set(truth, mark)


def prose(text: str) -> str:
    """A description without its boxes, their brackets and the tags around them."""
    return TAG.sub("", BRACKETS.sub("", INNERMOST.sub("", text))).strip(" ,\n\t")


def abstains(answer: str) -> bool:
    """Whether an answer declines to answer."""
    return normalise_text(answer) in ABSTENTIONS
