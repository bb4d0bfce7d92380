"""The place of the verifier until it is there: believes what it is given."""

from collections.abc import Sequence

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Pair, Verdict


def judge(facts: ChipFacts, pairs: Sequence[Pair]) -> list[Verdict]:
    """A verdict for each pair."""
    return [Verdict(SUPPORTED)] * len(pairs)
