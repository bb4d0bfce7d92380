"""The commonest training answer: to the same question anywhere, and to the same question in the same scene.

The second knows which scene a chip was cut from, and nothing of its pixels: a season, a place and its cover go with a
scene, so that `which scene` answers much of what is asked. Ties go by the alphabet.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from tasks.evaluation.guessing.asked import Asked
from tasks.evaluation.metrics.text_normalisation import normalise_text


def commonest(seen: Mapping[str, int]) -> str:
    """The most frequent; of several the first of the alphabet."""
    return min(seen, key=lambda answer: (-seen[answer], answer))


class Majority:
    """Most frequent training answer to the same question, or else to questions of its type and form."""

    def __init__(self, training: Iterable[Asked]) -> None:
        same: dict[str, Counter[str]] = defaultdict(Counter)
        of_form: dict[str, Counter[str]] = defaultdict(Counter)
        for asked in training:
            same[asked.meaning][normalise_text(asked.answer)] += 1
            of_form[asked.form][normalise_text(asked.answer)] += 1
        self._same = {question: commonest(seen) for question, seen in same.items()}
        self._of_form = {question_type: commonest(seen) for question_type, seen in of_form.items()}

    def answer(self, asked: Asked) -> str:
        """The answer; empty if the training side has no such question."""
        return self._same.get(asked.meaning) or self._of_form.get(asked.form, "")

    def was_asked(self, asked: Asked) -> bool:
        """Whether the training side asks this very question."""
        return asked.meaning in self._same


class SameScene:
    """Most frequent training answer to the same question about chips of the same scene."""

    def __init__(self, training: Iterable[Asked]) -> None:
        seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.scenes: set[str] = set()
        """Scenes that some chip is trained on."""
        for asked in training:
            if asked.scene:
                self.scenes.add(asked.scene)
                seen[asked.scene, asked.meaning][normalise_text(asked.answer)] += 1
        self._best = {key: commonest(answers) for key, answers in seen.items()}

    def answer(self, asked: Asked) -> str | None:
        """The answer; None where the scene was never asked this."""
        return self._best.get((asked.scene, asked.meaning))
