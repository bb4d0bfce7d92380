"""The interface of everything that writes question-answer pairs."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from tasks.dialogue.facts import Draft, Subject


class PairGenerator(Protocol):
    """Writes pairs about chips. What it writes is believed only after `verify`."""

    name: str
    model_hash: str
    """Identity of the weights; empty where there are none."""
    prompt_hash: str
    """Identity of the prompts or templates."""

    def generate(self, subjects: Sequence[Subject]) -> Iterator[list[Draft]]:
        """Drafts for each subject, in order. A subject may get none."""
        ...
