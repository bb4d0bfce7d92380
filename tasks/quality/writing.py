"""How the suites put what is asserted into words: a pair of wordings, filled, with what it claims."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Pair
from tasks.quality.cases import Case, Claim, capital, fill

YES = ("Yes", "Yes.", "yes", "Yes, it is so.", "That is correct.", "Yes, that is right.")
NO = ("No", "No.", "no", "No, that is not so.", "That is not correct.", "No, that is wrong.")


@dataclass
class Pen:
    """Writes cases of one chip; which wordings are taken follows from the seed alone."""

    suite: Literal["facts", "wording"]
    facts: ChipFacts
    draw: random.Random
    cases: list[Case] = field(default_factory=list)

    def write(
        self,
        kind: str,
        asked: str,
        questions: Sequence[str],
        answers: Sequence[str],
        claims: Claim | Sequence[Claim],
        truth: bool | None,
        decidable: bool = True,
        **values: Any,
    ) -> None:
        """One case, in one of the questions and one of the answers.

        Args:
            kind: of the corruption; of a true pair what it asks about.
            asked: question type that its writer would give.
            questions, answers: sentences with gaps.
            claims: what the pair asserts.
            truth: whether all of it holds; None where nobody knows.
            decidable: whether the labels can decide it.
            values: of the gaps.
        """
        question, answer = self.draw.choice(questions), self.draw.choice(answers)
        pair = Pair(fill(question, values), fill(answer, values), asked)
        several = tuple(claims) if isinstance(claims, Sequence) else (claims,)
        self.cases.append(Case(self.suite, kind, self.facts, pair, truth, several, decidable, (question, answer)))


@dataclass(frozen=True)
class Statement:
    """Something that holds or does not, with ways to ask for it and to say it."""

    asked: str
    claim: Claim
    """Of the statement itself."""
    opposite: Claim
    holds: bool
    questions: Sequence[str]
    """Whether it holds."""
    says: Sequence[str]
    """That it does, after `Yes, ` or alone."""
    denies: Sequence[str]
    """That it does not, after `No, ` or alone."""
    values: dict[str, Any]

    def of(self, value: bool) -> Claim:
        """What an answer of yes or no asserts."""
        return self.claim if value else self.opposite

    def sentences(self, value: bool) -> Sequence[str]:
        """That it holds, or that it does not."""
        return self.says if value else self.denies


def tell(pen: Pen, kind: str, it: Statement) -> None:
    """True: yes or no, alone or explained."""
    explained = [f"{'Yes' if it.holds else 'No'}, {text}" for text in it.sentences(it.holds)]
    answers = [*(YES if it.holds else NO), *explained, *map(capital, it.sentences(it.holds))]
    pen.write(kind, it.asked, it.questions, answers, it.of(it.holds), True, **it.values)


def flip(pen: Pen, kind: str, it: Statement) -> None:
    """False: the other answer, bare."""
    pen.write(kind, it.asked, it.questions, NO if it.holds else YES, it.of(not it.holds), False, **it.values)


def flip_sentence(pen: Pen, kind: str, it: Statement) -> None:
    """False: the other answer as a sentence of its own or explained."""
    wrong = it.sentences(not it.holds)
    answers = [*[f"{'No' if it.holds else 'Yes'}, {text}" for text in wrong], *map(capital, wrong)]
    pen.write(kind, it.asked, it.questions, answers, it.of(not it.holds), False, **it.values)


def contradict(pen: Pen, kind: str, it: Statement) -> None:
    """False: the right word with an explanation of the contrary."""
    answers = [f"{'Yes' if it.holds else 'No'}, {text}" for text in it.sentences(not it.holds)]
    pen.write(kind, it.asked, it.questions, answers, [it.claim, it.opposite], False, **it.values)
