"""Which words and kinds of question a model was taught, by the text of its training questions alone. No torch here.

A question that shares nothing with them is not answered by guessing: a tiny model says "yes" to whatever it is asked.
The rule is plain, so that its mistakes can be seen: content words that occur in no training question and in no short
answer are unknown; of known words, most must occur together in one training question.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from models.parts.prompt import LEADING_TAG
from tasks.vlm.samples import bare_question

COVERED = 0.65
"""Share of a question's words, by their rarity, that one training question must have."""
MOST_PATTERNS = 20_000
"""Training questions of more different sets of words are open text, of which only the words are kept."""
SHORT = 4
"""Words of an answer that may be the name of a class."""
WORD = re.compile(r"[^\W\d_]+")
BOX = re.compile(r"\[\[.*?\]\]|<box>.*?</box>")
EMPTY = frozenset(
    """
    a about above actually after again all along also am an and another answer answers any anything are around as
    ask at away back be been before being below beside between both brief briefly but by can cannot could detail
    did do does doing done down each either else ever every exactly find first for found frame from full get give
    given gives had has have having he hello here hers hi him his i if image images in indeed into is it its
    itself just kindly know least let like look made make may me might mine most much my need no nor not now of
    off oh ok okay on once one only or other our out over own perhaps photo photograph photos picture pictures
    please probably quite rather really right said same say scene scenes see seem seems sentence sentences shall
    she short shot should show shown shows since so some something still such tell than thank thanks that the
    their them then there these they thing things this those though through tile to together too two under until
    up upon us very view want was we well were what whatever which whichever while whole will with within without
    word words would yes yet you your
    """.split()  # noqa: SIM905
)
"""Words that say nothing of what is asked about: English's closed classes, politeness, and the image itself."""

ASKING = frozenset({"how", "many", "much", "when", "where", "who", "whom", "whose", "why"})
"""Words that say what is wanted of a thing, and name none."""


def stem(word: str) -> str:
    """A word without the ending of a plural."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def content_words(text: str) -> list[str]:
    """The words of a question that say what it is about, as they are written but lower case, each once, in order."""
    text = bare_question(text)
    while match := LEADING_TAG.match(text):
        text = text[match.end() :]
    words = WORD.findall(BOX.sub(" ", text).lower())
    return list(dict.fromkeys(word for word in words if word not in EMPTY and stem(word) not in EMPTY))


@dataclass(frozen=True)
class Wording:
    """The words of the training questions."""

    words: frozenset[str]
    """Stems that occur in a question or in a short answer."""
    labels: frozenset[str]
    """Stems of short answers: they may stand in any question."""
    patterns: tuple[frozenset[str], ...] | None
    """Stems of each question, each set once; None where there were too many."""

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Wording":
        """From (question, answer) of training."""
        seen: set[frozenset[str]] = set()
        words: set[str] = set()
        labels: set[str] = set()
        for question, answer in pairs:
            pattern = frozenset(map(stem, content_words(question)))
            words |= pattern
            if len(seen) <= MOST_PATTERNS:
                seen.add(pattern)
            if len(answer.split()) <= SHORT:
                labels |= {stem(word) for word in content_words(answer)}
        patterns = None if len(seen) > MOST_PATTERNS else tuple(sorted(seen, key=sorted))
        return cls(frozenset(words | labels), frozenset(labels), patterns)

    def as_json(self) -> dict[str, Any]:
        """As it stands in a file."""
        patterns = None if self.patterns is None else [sorted(pattern) for pattern in self.patterns]
        return {"words": sorted(self.words), "labels": sorted(self.labels), "patterns": patterns}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Wording":
        """From what `as_json` gave."""
        patterns = content["patterns"]
        read = None if patterns is None else tuple(map(frozenset, patterns))
        return cls(frozenset(content["words"]), frozenset(content["labels"]), read)

    def joined(self, other: "Wording") -> "Wording":
        """The words of both."""
        patterns = None
        if self.patterns is not None and other.patterns is not None:
            both = set(self.patterns) | set(other.patterns)
            patterns = tuple(sorted(both, key=sorted)) if len(both) <= MOST_PATTERNS else None
        return Wording(self.words | other.words, self.labels | other.labels, patterns)

    def unknown(self, question: str) -> list[str]:
        """Words of a question that no training question has, as they are written."""
        return [word for word in content_words(question) if stem(word) not in self.words]

    def covered(self, question: str) -> float:
        """Largest share of a question's words, by their rarity, that one training question has.

        A question of class names alone is covered, one without any word that says something only if training had one.
        """
        words = {stem(word) for word in content_words(question)}
        if self.patterns is None:
            return 1.0
        if not words:
            return float(words in self.patterns)
        asked = words - self.labels
        total = sum(map(self._weight, asked))
        if not total:
            return 1.0
        return max((sum(map(self._weight, asked & pattern)) / total for pattern in self.patterns), default=0.0)

    def _weight(self, word: str) -> float:
        return math.log(1 + len(self.patterns or ()) / (1 + self._counts[word]))

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(word for pattern in self.patterns or () for word in pattern)


def listed(words: Sequence[str], most: int = 3) -> str:
    """Some words for people: `ships`, `ships and cars`, `ships, cars and planes`."""
    shown = list(words[:most])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
