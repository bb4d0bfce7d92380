"""Names of labels as a person would write them in a sentence: case, number, plural."""

import re
from functools import lru_cache

LONGEST = 100
"""Letters of a name that can stand in a sentence."""
SAYABLE = re.compile(r"[^\W_][\w ,'&/().-]*")
IGNORED = re.compile(
    r"\b(ignore|disregard|instructions?|system prompt|assistant|answer|reply|respond)\b", re.IGNORECASE
)
"""What no class of land cover is called, and whoever speaks to a language model says."""
BARE = frozenset({"residential", "commercial", "industrial", "retail", "military", "built-up", "urban"})
"""Names that are no nouns."""
SINGULAR_S = ("ss", "us", "is", "gas")
HEAD_ENDS = re.compile(r"\s+(?:of|with|in|for|by|under|occupied|principally|since)\b|[,(]")
"""Where the head of a name ends and what is said about it begins."""


class Noun:
    """A label's name in a sentence."""

    __slots__ = ("are_there", "be", "cap", "cover", "do", "has", "lie", "plural", "text")

    def __init__(self, name: str) -> None:
        """Of a label's name as its source writes it."""
        self.text = _lower(name)
        self.cap = self.text[:1].upper() + self.text[1:]
        self.plural = is_plural(self.text)
        self.be = "are" if self.plural else "is"
        self.are_there = "Are there" if self.plural else "Is there"
        self.do = "Do" if self.plural else "Does"
        self.has = "have" if self.plural else "has"
        self.cover = "cover" if self.plural else "covers"
        self.lie = "lie" if self.plural else "lies"

    def many(self) -> str:
        """The name in the plural."""
        if self.plural:
            return self.text
        if re.search(r"[^aeiou]y$", self.text):
            return f"{self.text[:-1]}ies"
        return f"{self.text}es" if self.text.endswith(("s", "x", "ch", "sh")) else f"{self.text}s"


@lru_cache(maxsize=65_536)
def noun(name: str) -> Noun:
    """The noun of a label's name; the same object for the same name."""
    return Noun(name)


@lru_cache(maxsize=65_536)
def is_sayable(name: str) -> bool:
    """Whether a name can stand in a sentence: words, and none that could be taken for an instruction or markup."""
    return len(name) <= LONGEST and SAYABLE.fullmatch(name) is not None and IGNORED.search(name) is None


def is_plural(text: str) -> bool:
    """Whether the head of a name is a plural: pastures, water bodies, areas of sand; not grass, not heathland."""
    head = HEAD_ENDS.split(text, maxsplit=1)[0]
    words = [part.split() for part in re.split(r"\s+and\s+|/", head)]
    last = [part[-1] for part in words if part]
    return any(word.endswith("s") and not word.endswith(SINGULAR_S) for word in last)


def _lower(name: str) -> str:
    """Lower case but for words that carry capitals within, such as OSM."""
    words = name.split()
    text = " ".join(word if word[1:] != word[1:].lower() else word.lower() for word in words)
    return f"{text} area" if text in BARE else text


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
