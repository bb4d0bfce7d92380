"""Pairs of an assistant held against facts: those that a conversation carries, or what a chip's own pixels say."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from tasks.assistant.chips import Chips
from tasks.assistant.errors import AssistantError, shown
from tasks.assistant.records import Chip, Verified
from tasks.dialogue import reverify
from tasks.dialogue.chip_facts import statistics
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Pair
from tasks.dialogue.series.facts import SeriesFacts
from tasks.earth.countries import country_at


class Verifier:
    """Verifies pairs, as stage `qa` does."""

    def __init__(self, chips: Chips, shards: Sequence[Path]) -> None:
        """The facts there are.

        Args:
            chips: cut here.
            shards: tables of conversations, or folders of them.
        """
        self.chips, self.shards = chips, shards

    def verify(self, question: str, answer: str, chip: str | None, conversation: str | None) -> Verified:
        """What the verifier finds of a pair.

        Raises:
            AssistantError: there are no facts of that chip.
        """
        facts, source = self._facts(chip, conversation)
        verdict = reverify.verdicts(facts, [Pair(question, answer, "")])[0]
        evidence = [{k: v for k, v in asdict(one).items() if v not in ("", None, ())} for one in verdict.evidence]
        return Verified(verdict=verdict.state, reason=verdict.reason, evidence=evidence, facts=source)

    def _facts(self, chip: str | None, conversation: str | None) -> tuple[ChipFacts | SeriesFacts, str]:
        if (chip is None) == (conversation is None):
            raise AssistantError("give either chip, an id of a chip, or conversation, an id of a row of a shard")
        if chip is not None and (cut := self.chips.find(chip)):
            return facts_of(cut, self.chips.path(cut)), "pixels, date and place of the chip; it has no labels"
        column, value = ("chip_id", chip) if chip is not None else ("conversation_id", conversation)
        there = [path for path in self.shards if path.exists()]
        paths = reverify.shards(there) if there else []
        found = reverify.find_facts(paths, column, str(value))
        if found is None:
            name = "chip" if chip is not None else "conversation"
            raise AssistantError(
                f"{name} is {shown(value)}: neither a chip that cut_chip made, nor in the {len(paths)} tables of "
                "conversations that the server was started with (--pairs)"
            )
        return found, "labels, pixels, date and place, as the data set has them"


def facts_of(chip: Chip, path: Path) -> ChipFacts:
    """What is known of a chip without labels."""
    longitude, latitude = chip.centre
    return ChipFacts(
        chip.image,
        chip.sensor,
        (),
        {},
        taken=datetime.fromisoformat(chip.datetime) if chip.datetime else None,
        longitude=longitude,
        latitude=latitude,
        country=country_at(longitude, latitude),
        side=chip.gsd * chip.size,
        pixels=statistics(chip.sensor, path.read_bytes(), f"chip {chip.image}"),
    )
