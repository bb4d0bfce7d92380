"""How a pair is said: which wording, and whether the answer is a word or a sentence."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")
IMAGES = ("this image", "this scene", "the image", "the scene")
IN_A_SENTENCE = (
    "Answer in a sentence.",
    "Answer in a full sentence.",
    "Please answer in one sentence.",
)
"""Asks for the long form; without it, an answer is as short as it can be."""


class Found(NamedTuple):
    """Something that a chip can be asked, before it has words."""

    subject: str
    """What it is about: a class, two of them, a quantity."""
    answer: str
    """What the answer is, by a short key. Answers to one subject are asked for equally often over a data set."""
    data: tuple[object, ...] = ()
    """What the writer needs of it."""


class Voice:
    """One drawing of words; the same random numbers, the same words."""

    __slots__ = ("_random", "image", "whole")

    def __init__(self, random: Random, short: float) -> None:
        """`short` is the share of the answers that are a word or a few, and no sentence."""
        self._random = random.random
        self.whole = self._random() >= short
        """Whether the answer is a sentence."""
        self.image = IMAGES[int(self._random() * len(IMAGES))]

    def pick(self, options: Sequence[T]) -> T:
        """One of them, each as likely."""
        return options[int(self._random() * len(options))]

    def coin(self) -> bool:
        """True half of the time."""
        return self._random() < 0.5

    def question(self, text: str) -> str:
        """A question that is answered by a word, or by a sentence if this voice speaks so."""
        return f"{text} {self.pick(IN_A_SENTENCE)}" if self.whole else text
