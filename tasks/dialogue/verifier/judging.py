"""Pairs of one chip, each with its verdict."""

from collections.abc import Sequence
from functools import partial

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import NOT_CHECKABLE, Pair, Verdict
from tasks.dialogue.verifier.checks import decide
from tasks.dialogue.verifier.outcomes import evaluate
from tasks.dialogue.verifier.parsing import Parsed, common_labels, parse, parse_after


def judge(facts: ChipFacts, pairs: Sequence[Pair]) -> list[Verdict]:
    """Verdicts of pairs about a chip, in their order."""
    labels = facts.vocabulary - common_labels()
    known = partial(decide, facts)
    out: list[Verdict] = []
    before: Parsed | None = None
    for pair in pairs:
        if not pair.question.strip() or not pair.answer.strip():
            out.append(Verdict(NOT_CHECKABLE, "empty question or answer"))
            before = None
            continue
        if pair.follows and before is not None:
            parsed = parse_after(pair.question, pair.answer, labels, before)
        else:
            parsed = parse(pair.question, pair.answer, labels)
        out.append(evaluate(parsed.expression, known).verdict())
        before = parsed
    return out
