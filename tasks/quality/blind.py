"""Solvers that never see the image, trained on the training text alone: what they can answer, the text gives away.

`NGrams` reads the question: naive Bayes over hashed n-grams of words, for each kind of question. `ByScene` knows sensor
and scene: the most frequent answer to its kind of question there. A kind where one of them is better than chance by
more than a few points is marked. Chance is balanced: where few answers are possible, recall is averaged over them, so
that it is one over their number whatever their shares; where many are, it is the best constant answer.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tasks.quality.gist import form, gist, words_of

FEW = 12
"""Most answers of a kind whose chance is one over their number."""
COVERED = 0.95
"""Share of the training answers that those few must make up."""
CLASSES = 256
"""Most answers of a kind that the n-gram solver tells apart; rarer ones it never gives."""
NAMED = 0.3
"""Share of a kind's training answers that name the scene, from which the kind is one that asks for it."""
SMOOTHING = 0.1
"""Times that every n-gram of a kind counts as seen with every answer beforehand."""
Counts = NDArray[np.float32]


@dataclass(frozen=True)
class Item:
    """One question as a blind solver sees it, with its answer."""

    chip_id: str
    kind: str
    sensor: str
    scene: str
    """Its largest label, or its first tag; empty where it has neither."""
    question: str
    answer: str
    """Its gist."""
    form: str
    """What kind of answer its grammar asks for."""

    @classmethod
    def of(cls, chip_id: str, kind: str, sensor: str, scene: str, question: str, answer: str) -> "Item":
        """From the texts of a pair."""
        return cls(chip_id, kind, sensor, scene, question, gist(question, answer), form(question))


class Solver(Protocol):
    """Guesses answers."""

    def learn(self, items: Iterable[Item]) -> None:
        """Take in questions with their answers; may be called again with more."""
        ...

    def answer(self, item: Item) -> str:
        """A guess; the item's own answer is not looked at. Empty where nothing like it was learnt."""
        ...


class ByScene:
    """Most frequent training answer to the kind of question for that sensor and scene, or else for the kind alone.

    Kinds that ask for the scene itself, such as which class is the largest, are answered without it: it is the answer.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._named: Counter[str] = Counter()
        """Questions of each kind whose answer names the scene."""

    def learn(self, items: Iterable[Item]) -> None:
        """Count."""
        for item in items:
            scene = set(words_of(item.scene))
            self._named[item.kind] += bool(scene) and scene <= set(item.answer.split())
            for key in ((item.kind, item.sensor, item.scene), (item.kind, item.sensor), (item.kind,)):
                self._seen[key][item.answer] += 1

    def answer(self, item: Item) -> str:
        """The most frequent answer; ties go by the alphabet."""
        keys: list[tuple[str, ...]] = [(item.kind, item.sensor, item.scene), (item.kind, item.sensor), (item.kind,)]
        asks_for_it = self._named[item.kind] > NAMED * sum(self._seen.get((item.kind,), {}).values())
        for key in keys[asks_for_it:]:
            if seen := self._seen.get(key):
                return min(seen, key=lambda answer: (-seen[answer], answer))
        return ""


class NGrams:
    """Multinomial naive Bayes over hashed n-grams of the question, one for each kind of question."""

    def __init__(self, longest: int, buckets: int, balanced: bool = True) -> None:
        """Learn nothing yet.

        Args:
            longest: words of an n-gram at most.
            buckets: that n-grams are hashed to.
            balanced: whether all answers of a kind with few are as likely beforehand, as a mean recall over them wants
                it; else as they occurred, which is right more often.
        """
        self._longest, self._buckets, self._balanced = longest, buckets, balanced
        self._counts: dict[str, dict[str, Counts]] = defaultdict(dict)
        self._priors: dict[str, Counter[str]] = defaultdict(Counter)
        self._tables: dict[str, tuple[list[str], Counts, Counts]] = {}

    def _features(self, text: str) -> NDArray[np.int64]:
        words = ["<", *words_of(text), ">"]
        grams = (" ".join(words[i : i + n]) for n in range(1, self._longest + 1) for i in range(len(words) - n + 1))
        return np.array([zlib.crc32(gram.encode()) % self._buckets for gram in grams], dtype=np.int64)

    def learn(self, items: Iterable[Item]) -> None:
        """Count n-grams by kind and answer."""
        self._tables = {}
        for item in items:
            known = self._counts[item.kind]
            self._priors[item.kind][item.answer] += 1
            if item.answer not in known:
                if len(known) >= CLASSES:
                    continue
                known[item.answer] = np.zeros(self._buckets, dtype=np.float32)
            np.add.at(known[item.answer], self._features(item.question), 1)

    def _table(self, kind: str) -> tuple[list[str], Counts, Counts]:
        """Answers, log of their balanced prior, and log likelihood of every bucket, (answers, buckets)."""
        if kind not in self._tables:
            answers = sorted(self._counts[kind])
            counts = np.stack([self._counts[kind][answer] for answer in answers])
            seen = counts.any(axis=0)  # what was never seen says nothing
            smooth = counts + np.float32(SMOOTHING)
            likelihood = np.where(seen, np.log(smooth) - np.log(smooth[:, seen].sum(axis=1, keepdims=True)), 0)
            prior = np.log(np.array([self._priors[kind][answer] for answer in answers], dtype=np.float32))
            few = self._balanced and is_closed(self._priors[kind])
            self._tables[kind] = answers, prior * (0 if few else 1), likelihood
        return self._tables[kind]

    def answer(self, item: Item) -> str:
        """The likeliest answer."""
        if not self._counts.get(item.kind):
            return ""
        answers, prior, likelihood = self._table(item.kind)
        score = prior + likelihood[:, self._features(item.question)].sum(axis=1)
        return answers[int(np.argmax(score))]


def is_closed(answers: Mapping[str, int]) -> bool:
    """Whether a kind has few possible answers."""
    counts = sorted(answers.values(), reverse=True)
    return len(counts) > 1 and sum(counts[:FEW]) >= COVERED * sum(counts)


def shares(right: NDArray[np.float64], asked: NDArray[np.float64], closed: bool) -> NDArray[np.float64]:
    """Score from right answers and questions by true answer, (..., answers) each: mean recall, or plain accuracy."""
    if not closed:
        return np.asarray(right.sum(-1) / np.maximum(asked.sum(-1), 1))
    recall = np.where(asked > 0, right / np.maximum(asked, 1), 0)
    return np.asarray(recall.sum(-1) / np.maximum((asked > 0).sum(-1), 1))


def score(items: Sequence[Item], guesses: Sequence[str], closed: bool, draws: int, seed: int) -> dict[str, Any]:
    """How well a solver did on one kind of question, and chance; the interval is of a bootstrap over chips.

    Both are means over the forms of the questions: whoever is asked `is there` knows to say yes or no, and is right by
    chance half of the time, not one time in all the answers that other questions of the kind have.

    Returns:
        `{"score", "low", "high", "chance", "lead", "sure"}`, 0 to 1; sure is whether chance lies below the interval.
    """
    chips = {chip: row for row, chip in enumerate(sorted({item.chip_id for item in items}))}
    drawn = np.random.default_rng(seed).multinomial(len(chips), np.full(len(chips), 1 / len(chips)), size=draws)
    reached, chance, resampled = 0.0, 0.0, np.zeros(draws)
    for kind_of_answer in sorted({item.form for item in items}):
        some = [(item, guess) for item, guess in zip(items, guesses, strict=True) if item.form == kind_of_answer]
        answers = {answer: column for column, answer in enumerate(sorted({item.answer for item, _ in some}))}
        right, asked = np.zeros((2, len(chips), len(answers)))
        for item, guess in some:
            at = chips[item.chip_id], answers[item.answer]
            asked[at] += 1
            right[at] += guess == item.answer
        weight = len(some) / len(items)
        reached += weight * float(shares(right.sum(0), asked.sum(0), closed))
        chance += weight * (1 / len(answers) if closed else float(asked.sum(0).max() / asked.sum()))
        resampled += weight * shares(drawn @ right, drawn @ asked, closed)
    low, high = np.quantile(resampled, [0.025, 0.975]) if len(chips) > 1 else (0.0, 1.0)
    names = {"score": reached, "low": float(low), "high": float(high), "chance": chance, "lead": reached - chance}
    return {**{name: round(value, 4) for name, value in names.items()}, "sure": bool(low > chance)}


def marks(
    training: Iterable[Item], test: Iterable[Item], solvers: Mapping[str, Solver], lead: float, draws: int, seed: int
) -> dict[str, Any]:
    """Every kind of test question with what each solver reaches, marked where one leads by more than `lead`.

    Args:
        training: questions that the solvers learn from, one by one.
        test: questions that they are asked.
        solvers: by name; they have learnt nothing yet.
        lead: over balanced chance from which a kind is marked, 0 to 1.
        draws, seed: of the bootstrap over test chips.

    Returns:
        `{kind: {"questions", "chips", "answers", "closed", SOLVER: as of `score`, "best",
        "marked"}}`.
    """
    learnt: dict[str, Counter[str]] = defaultdict(Counter)
    for item in training:
        learnt[item.kind][item.answer] += 1
        for solver in solvers.values():
            solver.learn([item])
    by_kind: dict[str, list[Item]] = defaultdict(list)
    for item in test:
        by_kind[item.kind].append(item)
    out = {}
    for kind in sorted(by_kind):
        items = by_kind[kind]
        closed = is_closed(learnt[kind])
        scores = {
            name: score(items, [solver.answer(item) for item in items], closed, draws, seed)
            for name, solver in solvers.items()
        }
        best = max(scores, key=lambda name: scores[name]["lead"])
        out[kind] = {
            "questions": len(items),
            "chips": len({item.chip_id for item in items}),
            "answers": len({item.answer for item in items}),
            "closed": closed,
            **scores,
            "best": best,
            "marked": scores[best]["lead"] > lead,
        }
    return out
