"""What the answers to a kind of question are: one of a few words, or text, numbers and boxes that are never the same.

A table of kinds, not of words: what is asked, and how it is said, stands with who writes the pairs.
"""

CLOSED = (
    "presence",
    "absence",
    "nearby",
    "scene-class",
    "share",
    "comparison",
    "adjacency",
    "position",
    "count",
    "region-caption",
    "change",
    "change-position",
    "season",
    "country",
    "series-change",
    "series-where",
    "series-which",
    "series-radar",
    "series-taken",
    "series-place",
    "series-same-place",
    "series-smooth",
)
"""Kinds whose short answers are few: their balance is bounded."""
OPEN = frozenset({"caption", "detailed-caption", "referring", "grounding", "abstention", "series-untold"})
"""Kinds whose answers can be right in many wordings, or nearly right: an exact match would say nothing of them."""
FREE_TEXT = frozenset({"caption", "detailed-caption"})
"""Kinds whose answers describe the chip in the writer's own words."""
TASK_TAGS = {
    "scene-class": "[classify]",
    "multi-label": "[classify]",
    "list": "[classify]",
    "caption": "[caption]",
    "detailed-caption": "[caption]",
    "region-caption": "[identify]",
    "referring": "[refer]",
    "grounding": "[grounding]",
    "change": "[changedet]",
    "change-position": "[changedet]",
    "series-change": "[changedet]",
    "series-where": "[changedet]",
    "series-which": "[changedet]",
    "series-date": "[changedet]",
    "series-untold": "[changedet]",
}
"""EarthDial's tag of the task, where it has one."""


def is_sentence(answer: str) -> bool:
    """Whether an answer is a whole sentence: the short ones carry no final stop."""
    return answer.rstrip().endswith((".", "!"))


def scored_exactly(question_type: str, answer: str) -> bool:
    """Whether an answer is right only if it is this one, word for word."""
    return question_type not in OPEN and not is_sentence(answer)
