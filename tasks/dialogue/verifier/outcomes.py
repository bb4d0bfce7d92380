"""What the facts say of an expression: true, false, or that they cannot tell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Evidence, Verdict
from tasks.dialogue.verifier.expressions import And, Atom, Expression, Not, Or


@dataclass(frozen=True)
class Outcome:
    """One answer of the facts."""

    holds: bool | None
    """None: they cannot tell."""
    reason: str
    """The right value, or why they cannot tell."""
    evidence: tuple[Evidence, ...] = ()

    def verdict(self) -> Verdict:
        """As the verifier gives it."""
        if self.holds is None:
            return Verdict(NOT_CHECKABLE, self.reason, self.evidence)
        state = SUPPORTED if self.holds else CONTRADICTED
        return Verdict(state, "" if self.holds else self.reason, self.evidence)


def unknown(reason: str) -> Outcome:
    """They cannot tell."""
    return Outcome(None, reason)


Decide = Callable[[Atom], Outcome]


def evaluate(expression: Expression, decide: Decide) -> Outcome:
    """An expression by what is decided of its atoms, in three-valued logic."""
    if isinstance(expression, Not):
        found = evaluate(expression.part, decide)
        return Outcome(None if found.holds is None else not found.holds, found.reason, found.evidence)
    if isinstance(expression, And):
        return _joined([evaluate(part, decide) for part in expression.parts], decisive=False)
    if isinstance(expression, Or):
        return _joined([evaluate(part, decide) for part in expression.parts], decisive=True)
    return decide(expression)


def _joined(outcomes: Sequence[Outcome], decisive: bool) -> Outcome:
    """One that is `decisive` decides; all of the contrary decide too; else the facts cannot tell."""
    for found in outcomes:
        if found.holds is decisive:
            return found
    open_ones = [found for found in outcomes if found.holds is None]
    if open_ones:
        return open_ones[0]
    evidence: list[Evidence] = []
    for found in outcomes:
        evidence += [one for one in found.evidence if one not in evidence]
    return Outcome(not decisive, "; ".join(dict.fromkeys(f.reason for f in outcomes if f.reason)), tuple(evidence))
