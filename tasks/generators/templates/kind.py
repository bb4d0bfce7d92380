"""What a kind of question is: how it is found in a chip's facts, and how it is put in words."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.dialogue.pairs import Pair
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

Find = Callable[[View], list[Found]]
Say = Callable[[Found, View, Voice], tuple[Pair, ...]]


@dataclass(frozen=True)
class Kind:
    """One kind of question."""

    name: str
    """As params.yaml and the tables call it."""
    find: Find
    """Everything of this kind that the chip can be asked."""
    say: Say
    """The pairs that ask it: one, or those of a dialogue in their order."""
    balanced: bool = True
    """Whether the answers to one subject are asked for equally often over a data set."""
    of_pixels: bool = False
    """Whether it needs what was measured on the pixels."""


def yes_no(holds: bool) -> str:
    """The short answer."""
    return "yes" if holds else "no"
