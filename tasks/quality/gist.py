"""What an answer comes to, so that phrasings of one answer count as one: yes, no, a choice, or what is new.

A blind solver is to guess the answer, not its phrasing. What is compared is therefore the answer without what it
repeats of its question: "Tree cover covers less than a quarter of the image." comes to "less quarter".
"""

import re
from collections.abc import Sequence

POLAR = frozenset(
    ["is", "are", "was", "were", "do", "does", "did", "can", "could", "has", "have", "had", "will", "would", "should"]
)
"""First words of questions that are answered by yes or no."""
DENIALS = frozenset(
    [
        "no",
        "not",
        "none",
        "nothing",
        "never",
        "neither",
        "nor",
        "without",
        "absent",
        "missing",
        "cannot",
        "lacks",
        "free",
    ]
)
FILLERS = frozenset(
    [
        "a", "an", "the", "of", "in", "on", "at", "to", "it", "its", "is", "are", "was", "were", "be", "there", "this",
        "that", "these", "those", "and", "by", "with", "from", "as", "about", "some", "image", "picture", "scene",
        "chip", "tile", "view", "here", "show", "shows", "shown", "cover", "covers", "covered", "contains", "lies",
        "lie", "part", "around", "roughly",
    ]
)  # fmt: skip
"""Words that tell nothing of an answer."""
LONGEST = 12
"""Words of a gist; a caption has more, and no two are alike."""
_WORD = re.compile(r"\d+(?:\.\d+)?|[a-z]+(?:'[a-z]+)?")


def words_of(text: str) -> list[str]:
    """Words and numbers of a text in small letters, without punctuation."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def gist(question: str, answer: str) -> str:
    """What the answer comes to."""
    asked, said = words_of(question), words_of(answer)
    if said and said[0] in ("yes", "no"):
        return said[0]
    if asked and asked[0] in POLAR:
        return "no" if any(word in DENIALS or word.endswith("n't") for word in said) else "yes"
    content = [word for word in said if word not in FILLERS]
    new = [word for word in content if word not in asked]
    if new or not content:
        return " ".join(new[:LONGEST])
    return _choice(asked, content) or " ".join(content[:LONGEST])


def form(question: str) -> str:
    """What kind of answer a question asks for by its grammar: `yes or no`, `a choice` of what it names, or `open`."""
    asked = words_of(question)
    if asked and asked[0] in POLAR:
        return "yes or no"
    return "a choice" if "or" in asked else "open"


def _choice(asked: Sequence[str], content: Sequence[str]) -> str:
    """Which of the things that the question names is chosen: the one before `or`, or the one behind."""
    if "or" not in asked:
        return ""
    middle = asked.index("or")
    before, behind = ([word for word in content if word in side] for side in (asked[:middle], asked[middle + 1 :]))
    if len(before) == len(behind):
        return ""
    return "the first" if len(before) > len(behind) else "the second"
