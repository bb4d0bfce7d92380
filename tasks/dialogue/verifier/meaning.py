"""Which questions ask the same, whatever their words: what solvers without a model count answers by."""

import re

from tasks.dialogue.verifier.expressions import Unread
from tasks.dialogue.verifier.parsing import asked_of, common_labels
from tasks.dialogue.verifier.words import Reading

MEASURES = re.compile(r"percent|hectare|kilomet|square met|met(?:re|er)s|degree|how many|number of", re.IGNORECASE)
"""What tells that a number is asked for, and of what: `how much` may be answered by a word as well."""
MAPPED = re.compile(r", mapped=(?:True|False)")


def measure(question: str) -> str:
    """What number a question asks for; empty where it asks for none."""
    return " ".join(sorted({found.lower() for found in MEASURES.findall(question)}))


def meaning(question: str, labels: frozenset[str] = frozenset()) -> str:
    """A text that is the same for all wordings of a question; the question itself, in small letters, if it is not
    understood.

    Args:
        question: without tags and images.
        labels: that the sources of a data set can give, beside those that the lexicon knows.
    """
    asked, values = asked_of(question, labels - common_labels())
    if isinstance(asked, Unread):
        return " ".join(question.lower().split())
    if asked.kind == "yes-no" and asked.expression is not None:
        return MAPPED.sub("", f"whether {asked.expression}")  # "is there less of this than of that" swaps what it names
    reading = Reading([], list(values))
    about = [reading.of(word) for word in asked.subjects if word[0] != "S"]
    if asked.kind in ("extreme", "which", "compare"):
        about = sorted(about, key=str)  # "this or that" is "that or this"
    flags = [name for name in ("ordered", "around") if getattr(asked, name)]
    parts = (asked.kind, asked.extra, asked.unit, measure(question), *flags, asked.expression or "", *about)
    return MAPPED.sub("", " ".join(map(str, parts)))
