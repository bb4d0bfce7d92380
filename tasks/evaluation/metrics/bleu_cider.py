"""Captions against several references: BLEU's counts and CIDEr-D, by n-grams up to four words.

One rule for several references, here and in `captions`: the answer is held against the one it fits best. BLEU does
that by its definition. CIDEr as published averages over references, so that no single sentence can reach its top;
both are given.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.metrics.bootstrap import Array

WORDS = re.compile(r"\w+(?:['\u2019-]\w+)*")
MAX_ORDER = 4
LENGTH_SIGMA = 6.0
"""Standard deviation, in words, of CIDEr-D's penalty on a difference in length."""
Gram = tuple[str, ...]


def words(text: str) -> tuple[str, ...]:
    """The words of a caption in lower case, without punctuation, as the COCO evaluation compares them."""
    return tuple(WORDS.findall(text.lower()))


def grams(tokens: Sequence[str], order: int) -> Counter[Gram]:
    """How often each n-gram of one order occurs."""
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def bleu_counts(answer: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Matched n-grams of orders 1 to 4, all n-grams of the same, the answer's length, the closest reference's."""
    matched, total = [], []
    for order in range(1, MAX_ORDER + 1):
        # Clipped counts (Papineni et al., ACL 2002): an n-gram counts at most as often as one reference has it, so
        # that repeating a word of the reference gains nothing.
        candidate = grams(answer, order)
        allowed: Counter[Gram] = Counter()
        for reference in references:
            allowed |= grams(reference, order)
        matched.append(float((candidate & allowed).total()))
        total.append(float(candidate.total()))
    length = len(answer)
    # Of two references equally close in length the shorter is taken, as sacrebleu does.
    lengths = [len(reference) for reference in references]
    closest = min(lengths, key=lambda other: (abs(other - length), other), default=length)
    return [*matched, *total, float(length), float(closest)]


def bleu(sums: Array) -> dict[str, Array]:
    """BLEU-1 to -4 of a corpus in percent, from summed `bleu_counts` (..., 10).

    Orders that no answer is long enough for are left out (sacrebleu's effective order); nothing is smoothed.
    """
    matched, total = sums[..., :MAX_ORDER], sums[..., MAX_ORDER : 2 * MAX_ORDER]
    length, closest = sums[..., 2 * MAX_ORDER], sums[..., 2 * MAX_ORDER + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(total > 0, np.log(matched / np.where(total > 0, total, 1)), 0.0)
        brevity = np.where(length >= closest, 1.0, np.exp(1 - closest / length))
    # An order without any match has log 0 = -inf, and exp makes that BLEU 0: nothing is smoothed.
    used = np.cumsum(total > 0, axis=-1)
    mean = np.cumsum(logs, axis=-1) / np.maximum(used, 1)
    scores = np.where((length > 0)[..., None], 100 * np.asarray(brevity)[..., None] * np.exp(mean), 0.0)
    return {f"bleu{order + 1}": scores[..., order] for order in range(MAX_ORDER)}


class Cider:
    """CIDEr-D (Vedantam et al., CVPR 2015) with document frequencies of this file's references.

    Two n-gram vectors that are equal have similarity 1 also where they carry no weight (every image has the same
    reference), and orders that neither sentence is long enough for are left out.
    """

    def __init__(self, references: Sequence[Sequence[Sequence[str]]]) -> None:
        """From the words of every reference of every image."""
        self._images = len(references)
        self._frequency: Counter[Gram] = Counter()
        for texts in references:
            seen = {gram for text in texts for order in range(1, MAX_ORDER + 1) for gram in grams(text, order)}
            self._frequency.update(seen)
        self._vectors: dict[tuple[str, ...], list[tuple[dict[Gram, float], float]]] = {}

    def similarities(self, answer: tuple[str, ...], references: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """Similarity with each reference, 0 to 1, (references,). The published figure is ten times their mean."""
        return np.array([self._similarity(answer, reference) for reference in references])

    def _similarity(self, answer: tuple[str, ...], reference: tuple[str, ...]) -> float:
        if answer == reference:
            return 1.0
        cosines = []
        for (a, norm_a), (b, norm_b) in zip(self._of(answer), self._of(reference), strict=True):
            if not a and not b:
                continue
            if a == b:
                cosines.append(1.0)
            elif norm_a and norm_b:
                cosines.append(
                    sum(min(a.get(gram, 0.0), weight) * weight for gram, weight in b.items()) / norm_a / norm_b
                )
            else:
                cosines.append(0.0)
        # pycocoevalcap measures length in bigrams, n - 1 words; kept, or figures would differ from published ones.
        difference = max(len(answer) - 1, 0) - max(len(reference) - 1, 0)
        penalty = math.exp(-(difference**2) / (2 * LENGTH_SIGMA**2))
        return penalty * sum(cosines) / len(cosines) if cosines else 0.0

    def _of(self, tokens: tuple[str, ...]) -> list[tuple[dict[Gram, float], float]]:
        if tokens not in self._vectors:
            self._vectors[tokens] = [self._vector(grams(tokens, order)) for order in range(1, MAX_ORDER + 1)]
        return self._vectors[tokens]

    def _vector(self, counts: Counter[Gram]) -> tuple[dict[Gram, float], float]:
        vector = {gram: count * self._weight(gram) for gram, count in counts.items()}
        return vector, math.sqrt(sum(value * value for value in vector.values()))

    def _weight(self, gram: Gram) -> float:
        # An n-gram that no reference has would be log 0; with a frequency of 1 it has the highest weight, as published.
        return math.log(self._images) - math.log(max(1, self._frequency[gram]))
