"""Texts that two sides share: candidates by MinHash of word shingles, held to their true Jaccard similarity."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from datasketch import MinHash, MinHashLSH  # type: ignore[import-untyped]

from tasks.dialogue.conversations import IMAGE

WORDS = re.compile(r"\w+")
TAG = re.compile(r"\[[a-z][\w.]*\]", re.IGNORECASE)
"""EarthDial's tags of sensor and task."""
MIN_WORDS = 8
"""A shorter text says nothing about where it was seen: half of all benchmarks ask `is there a road`."""
SHINGLE = 3
"""Words in a row."""
MIN_JACCARD = 0.7
"""Jaccard similarity from which two texts count as one."""
BANDS, ROWS = 25, 5
"""Of the signatures. A pair at `MIN_JACCARD` is found with probability 1 - (1 - 0.7^5)^25 = 99.0 %, one at 0.8 with
99.99 % (Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4)."""
MAX_REMEMBERED = 2**17
"""Texts whose matches are kept at hand, since training texts repeat."""

Shingles = frozenset[str]
Matches = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Evidence:
    """A text that can be recognised."""

    kind: str
    """text: a long answer, such as a caption; question: a question with its short answer."""
    text: str
    subject: str
    """The part of it that must be rare to tell anything: a long answer itself, or the question of a short one, since a
    short answer is right for many images."""
    answer: str
    """The short answer, which must be the same; empty for a long one."""


def evidence(question: str, answer: str) -> Evidence | None:
    """What of a turn can be recognised; None if it is too short to be.

    A long answer stands for itself: the question that asked for it is the same for all captions, and another data set
    words it differently. A short answer counts together with its question, and is the weaker evidence.
    """
    if len(WORDS.findall(answer)) >= MIN_WORDS:
        return Evidence("text", answer, _words_of(answer), "")
    bare = TAG.sub(" ", question.replace(IMAGE, " "))
    if len(WORDS.findall(bare)) + len(WORDS.findall(answer)) < MIN_WORDS:
        return None
    return Evidence("question", f"{bare} {answer}", _words_of(bare), _words_of(answer))


def _words_of(text: str) -> str:
    return " ".join(WORDS.findall(text.lower()))


def shingles(text: str) -> Shingles:
    """Every `SHINGLE` words in a row, in lower case, without punctuation."""
    words = WORDS.findall(text.lower())
    return frozenset(" ".join(words[start : start + SHINGLE]) for start in range(max(1, len(words) - SHINGLE + 1)))


def parts(text: str) -> Shingles:
    """What stands between the commas of a text, in lower case, without punctuation."""
    return frozenset(f"{part}," for piece in re.split("[,;]", text) if (part := _words_of(piece)))


def jaccard(one: Shingles, other: Shingles) -> float:
    """Share of their shingles that two texts have in common."""
    return len(one & other) / len(one | other)


class TextIndex:
    """Texts to be found: those of the benchmark, each once."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Index texts; each is known by its number."""
        self._shingles = [shingles(text) for text in texts]
        self._lsh = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
        for number, signature in enumerate(_signatures(self._shingles)):
            self._lsh.insert(number, signature)
        self._known: dict[str, Matches] = {}

    def within(self, texts: Sequence[str]) -> list[Matches]:
        """For each text, (number, similarity) of every indexed text at least `MIN_JACCARD` similar, by number.

        Many at once are faster than one by one.
        """
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > MAX_REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        # All signatures in one call: the permutations are then made once.
        queried = [shingles(text) for text in new]
        for text, own, signature in zip(new, queried, _signatures(queried), strict=True):
            # LSH gives candidates, some of them false: the true Jaccard similarity decides.
            close = ((number, jaccard(own, self._shingles[number])) for number in sorted(self._lsh.query(signature)))
            self._known[text] = tuple((number, similarity) for number, similarity in close if similarity >= MIN_JACCARD)
        return [self._known[text] for text in texts]


def _signatures(sets: Iterable[Shingles]) -> Iterator[MinHash]:
    # A fixed seed: the same texts are candidates in every run, or a check could not be repeated.
    encoded = ([shingle.encode() for shingle in sorted(one)] for one in sets)
    yield from MinHash.generator(encoded, num_perm=BANDS * ROWS, seed=1)
