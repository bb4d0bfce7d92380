"""A choice among lettered options, read from an answer in words: `B`, `B. Port`, `(b)`, `The answer is B`, `Port`."""

import re
from collections.abc import Sequence

from tasks.evaluation.metrics.text_normalisation import normalise_text

ALONE = re.compile(r"\W*([a-jA-J])\W*")
GLUED = re.compile(r"[A-J]{2,10}")
STANDALONE = re.compile(r"(?<![A-Za-z])([A-J])(?![A-Za-z'])(?!\s+(?!(?:and|or|is|are)\b)[a-z])")
"""A capital letter by itself, but not the word in `A river` or `I think`."""
OWN = re.compile(r"\(?([A-J])[).:]\s*")
"""How an option names its own letter."""


def letters(answer: str, options: Sequence[str]) -> list[str]:
    """The letters that an answer chooses, in its order, each once; none if it chooses nothing.

    Args:
        answer: as the model gave it.
        options: as they were offered, with or without their own letters; else they are lettered in their order.
    """
    offered = dict(_lettered(number, option) for number, option in enumerate(options))
    if normalise_text(answer) in offered:
        return [offered[normalise_text(answer)]]
    if alone := ALONE.fullmatch(answer):
        return [alone[1].upper()]
    text = answer.strip().rstrip(".")
    if GLUED.fullmatch(text) and len(set(text)) == len(text) and set(text) <= set(offered.values()):
        return list(text)
    return list(dict.fromkeys(STANDALONE.findall(answer)))


def _lettered(number: int, option: str) -> tuple[str, str]:
    """An option's words, and its letter."""
    own = OWN.match(option)
    return normalise_text(option[own.end() :] if own else option), own[1] if own else chr(ord("A") + number)
