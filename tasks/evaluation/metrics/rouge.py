"""ROUGE-1 and ROUGE-L as rouge-score defines them, from tokens: precision, recall and F1.

Its own scorer fills a table of one text by the other, which two long texts make larger than any memory. Here a row of
that table is the bits of one integer (Hyyrö, 2004): the same length of the longest common subsequence.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rouge_score import tokenize

from tasks.evaluation.metrics.tokens import stemmer


@dataclass(frozen=True)
class Rouge:
    """One of the two measures, 0 to 1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean; 0 if nothing is in common."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@lru_cache(maxsize=100_000)
def tokens(text: str) -> tuple[str, ...]:
    """The words of a text as rouge-score splits and stems them."""
    return tuple(tokenize.tokenize(text, stemmer()))


def rouge1(reference: Sequence[str], answer: Sequence[str]) -> Rouge:
    """Tokens in common, each as often as both have it."""
    return _of((Counter(reference) & Counter(answer)).total(), reference, answer)


def rouge_l(reference: Sequence[str], answer: Sequence[str]) -> Rouge:
    """The longest subsequence in common."""
    return _of(common_subsequence(reference, answer), reference, answer)


def _of(common: int, reference: Sequence[str], answer: Sequence[str]) -> Rouge:
    return Rouge(common / len(answer), common / len(reference)) if common else Rouge(0.0, 0.0)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    # Bit p of a token's mask: the token stands at place p of the first text.
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    whole = (1 << len(first)) - 1
    row = whole
    for token in second:
        # A 0 bit marks a step of the longest common subsequence; the carry of the addition moves each step to the
        # earliest place it can have. One row of the usual table in a few additions of integers.
        matched = row & places.get(token, 0)
        row = (row + matched | row - matched) & whole
    return len(first) - row.bit_count()
