"""A case of a suite: a pair about a chip, what it asserts in terms that can be recomputed, and whether that is so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Pair
from tasks.earth.grid import stable_hash

Half = Literal["development", "held-out"]
DEVELOPMENT: Half = "development"
HELD_OUT: Half = "held-out"
Claim = Mapping[str, Any]
"""`{"is": what, ...}` with what that predicate takes; see tests/tasks/quality/recomputed.py for what each means."""
SEEN = 0.6
"""Share of the longer wordings that the development half may show; a pair has two of them."""
COMMON = 3
"""Wordings of so few words, such as `Yes.`, belong to no half."""


@dataclass(frozen=True)
class Case:
    """One pair of a suite."""

    suite: Literal["facts", "wording"]
    kind: str
    """What was corrupted, or what is asked about if the pair is true."""
    facts: ChipFacts
    pair: Pair
    truth: bool | None
    """None where the labels cannot know it: what is not annotated may still be there."""
    claims: tuple[Claim, ...]
    """All of them hold exactly if the pair is true; where labels cannot decide it, what it takes for granted."""
    decidable: bool = True
    """Whether the labels, pixels or metadata of the chip can decide it."""
    wordings: tuple[str, ...] = field(default=(), repr=False)
    """The sentences with gaps that the pair was put in."""

    @property
    def half(self) -> Half:
        """The development half shows no wording of more than a few words that only the held-out half may use."""
        kept = any(not shown(wording) for wording in self.wordings)
        return HELD_OUT if kept else DEVELOPMENT


def shown(wording: str) -> bool:
    """Whether the development half may use it."""
    return len(wording.split()) <= COMMON or stable_hash(f"wording/{wording}") / 2**64 < SEEN


class Noun(str):
    """What a class is called, with its number: `{x}` is the noun, `{x:is}`, `{x:Is}`, `{x:cover}` a verb that fits."""

    plural: bool

    def __new__(cls, text: str, plural: bool = False) -> "Noun":
        """A noun as it stands within a sentence."""
        made = super().__new__(cls, text)
        made.plural = plural
        return made

    def __format__(self, spec: str) -> str:
        """The noun, or a verb that fits it."""
        if not spec:
            return str(self)
        irregular = {"is": "are", "has": "have", "does": "do", "was": "were", "it": "they", "that": "those"}
        if spec.lower() in irregular:
            word = irregular[spec.lower()] if self.plural else spec.lower()
            return word.capitalize() if spec[0].isupper() else word
        return spec if self.plural else f"{spec}es" if spec.endswith("ch") else f"{spec}s"


def capital(text: str) -> str:
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]


def fill(wording: str, values: Mapping[str, Any]) -> str:
    """A wording with its gaps filled, beginning as a sentence does; a wording in small letters stays so."""
    filled = wording.format(**values)
    return capital(filled) if wording[:1] == "{" or wording[:1].isupper() else filled


def draw(wordings: Sequence[str], key: str) -> str:
    """One of the wordings, by a hash of `key`."""
    return wordings[stable_hash(key) % len(wordings)]
