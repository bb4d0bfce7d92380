"""What is written down of each sensor and each kind of question that a model was taught."""

import re
from collections import Counter
from dataclasses import dataclass

from tasks.vlm.wording import SHORT

MOST_ANSWERS = 12
"""Different answers up to which a kind of question is one of choice, and its answers are named."""


@dataclass(frozen=True)
class Kind:
    """One kind of question."""

    count: int
    """Turns of training; those that several stages saw count in each."""
    example: str
    """The most frequent question."""
    answers: tuple[str, ...]
    """All answers, if they are few and short; else empty."""


@dataclass(frozen=True)
class Shown:
    """One sensor in one modality."""

    bands: tuple[str, ...]
    samples: int


def example(asked: Counter[tuple[str, bool]]) -> str:
    """The most frequent question that neither follows another nor asks for a sentence, if there is one."""
    return min(asked, key=lambda one: (one[1], -asked[one], len(one[0]), one[0]))[0]


def choices(answers: Counter[str]) -> tuple[str, ...]:
    """The answers of a kind of question, if they are few and short; else none."""
    few = len(answers) <= MOST_ANSWERS
    short = all(len(text.split()) <= SHORT and not re.search(r"\d", text) for text in answers)
    return tuple(sorted(answers)) if few and short else ()
