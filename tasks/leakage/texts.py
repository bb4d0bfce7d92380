"""Texts that two sides share: candidates by MinHash of word shingles, held to their true Jaccard similarity."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

from tasks.core.conversations import IMAGE

WORDS = re.compile(r"\w+")
TAG = re.compile(r"\[[a-z][\w.]*\]", re.IGNORECASE)
"""EarthDial's tags of sensor and task."""
FEWEST_WORDS = 8
"""A shorter text says nothing about where it was seen: half of all benchmarks ask `is there a road`."""
SHINGLE = 3
"""Words in a row."""
LEAST = 0.7
"""Jaccard similarity from which two texts count as one."""
BANDS, ROWS = 25, 5
"""Of the signatures. A pair at `LEAST` is found with probability 1 - (1 - 0.7^5)^25 = 99.0 %, one at 0.8 with 99.99 %
(Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4)."""
REMEMBERED = 2**17
"""Texts whose matches are kept at hand, since training texts repeat."""

Shingles = frozenset[str]


def evidence(question: str, answer: str) -> str | None:
    """The text of a turn that would show where it comes from; None if it is too short to.

    A long answer stands for itself, as captions do: the question that asked for it is the same for all, and another
    benchmark words it differently. A short answer counts together with its question.
    """
    if len(WORDS.findall(answer)) >= FEWEST_WORDS:
        return answer
    whole = f"{TAG.sub(' ', question.replace(IMAGE, ' '))} {answer}"
    return whole if len(WORDS.findall(whole)) >= FEWEST_WORDS else None


def shingles(text: str) -> Shingles:
    """Every `SHINGLE` words in a row, in lower case, without punctuation."""
    words = WORDS.findall(text.lower())
    return frozenset(" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1)))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Share of their shingles that two texts have in common."""
    return len(one & other) / len(one | other)


class TextIndex:
    """Texts to be found: those of the benchmark, each once."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Index texts; they are told apart by their number."""
        self._shingles = [shingles(text) for text in texts]
        self._lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for number, signature in enumerate(_signatures(self._shingles)):
            self._lsh.insert(number, signature)
        self.within = lru_cache(REMEMBERED)(self._within)

    def _within(self, text: str) -> tuple[tuple[int, float], ...]:
        """(number, similarity) of every text at least `LEAST` similar, in order of number."""
        asked = shingles(text)
        signature = next(_signatures([asked]))
        close = ((number, jaccard(asked, self._shingles[number])) for number in sorted(self._lsh.query(signature)))
        return tuple((number, similarity) for number, similarity in close if similarity >= LEAST)


def _signatures(sets: Iterable[Shingles]) -> Iterator[MinHash]:
    encoded = ([shingle.encode() for shingle in sorted(one)] for one in sets)
    yield from MinHash.generator(encoded, num_perm=BANDS * ROWS, seed=1)
