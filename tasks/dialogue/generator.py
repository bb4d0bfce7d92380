"""The interface of everything that writes question-answer pairs."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judge, Provenance, Written


class PairGenerator(Protocol):
    """Writes pairs about chips, and has each judged before it counts."""

    provenance: Provenance

    def generate(self, chips: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        """What was written about each chip, in their order; nothing of a chip is lost, whatever happened.

        Raises:
            GenerationError: nothing can be written at all, such as a model server that is not there.
        """
        ...
