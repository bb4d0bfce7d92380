"""What each expert of RS-MoE learns of an answer: theme, objects, relations.

The paper splits its captions by sub-task and does not say how (spec of RS-MoE, sections 0.3 and 2): the rules are ours,
a table of question types and three lists of words in `subtasks.toml`.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from models.rsmoe.prompt import EXPERTS, SENTENCE, asks_for_caption
from tasks.core.errors import SubtaskError

THEME, OBJECT, RELATION = EXPERTS
CAPTION, QUESTION = "caption", "question"
"""Of the types whose answers are dealt out by sentences, and of those that the question's words decide."""
KINDS = (*EXPERTS, CAPTION, QUESTION)
"""What a type of question can be."""
TABLE = tomllib.loads(Path(__file__).with_name("subtasks.toml").read_text(encoding="utf-8"))
TYPES: Mapping[str, str] = {name: kind for kind, names in TABLE["types"].items() for name in names}
"""Type of a question -> one of `KINDS`."""
OPENING, WORDS, REST = "opening", "words", "rest"
"""Why a sentence is whose: the first of its caption, by its words, or because it has none of them."""


class Dealt(NamedTuple):
    """A sentence of a caption, the expert that learns it, and the rule that said so."""

    expert: str
    rule: str
    sentence: str


class Target(NamedTuple):
    """What one expert learns of a turn."""

    expert: str
    text: str


@cache
def _pattern(section: str, name: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(TABLE[section][name])})(?!\w)", re.IGNORECASE)


def kind_of(question_type: str, more: Mapping[str, str] | None = None) -> str:
    """Which of `KINDS` a type of question is.

    Args:
        question_type: as a turn names it.
        more: types beside those of the table, such as an imported set's own.

    Raises:
        SubtaskError: neither the table nor `more` has it.
    """
    kind = (more or {}).get(question_type) or TYPES.get(question_type)
    if kind is None:
        raise SubtaskError(
            f"no expert is known for questions of type '{question_type}'; name one of {', '.join(KINDS)} for it under "
            "`subtasks.types` in params.yaml"
        )
    return kind


def expert_of_question(question: str) -> str:
    """The expert that a question's own words ask for; `object` where they ask neither for a place nor for the scene."""
    for expert in (RELATION, THEME):
        if _pattern("questions", expert).search(question):
            return expert
    return OBJECT


def deal(caption: str) -> list[Dealt]:
    """The sentences of a caption in their order, each dealt to one expert.

    The first says what the image is and goes to `theme`, whatever its words; of the others those on the image's type,
    quality or scene go to `theme`, those that place things to `relation`, and the rest to `object`.
    """
    dealt = []
    for number, sentence in enumerate(filter(None, map(str.strip, SENTENCE.split(caption)))):
        if number == 0:
            dealt.append(Dealt(THEME, OPENING, sentence))
            continue
        said = _pattern("sentences", "ignored").sub(" ", sentence)
        found = next((one for one in (THEME, RELATION) if _pattern("sentences", one).search(said)), None)
        dealt.append(Dealt(found or OBJECT, WORDS if found else REST, sentence))
    return dealt


def joined(dealt: Iterable[Dealt]) -> list[Target]:
    """The text of every expert that has a sentence, in the order of `EXPERTS`."""
    texts: dict[str, list[str]] = {expert: [] for expert in EXPERTS}
    for one in dealt:
        texts[one.expert].append(one.sentence)
    return [Target(expert, " ".join(texts[expert])) for expert in EXPERTS if texts[expert]]


def is_caption(kind: str, question: str) -> bool:
    """Whether the answer is dealt out by sentences: it is a caption, or may be one and the question asks for it."""
    return kind == CAPTION or (kind == QUESTION and asks_for_caption(question))


def targets(question: str, answer: str, question_type: str, more: Mapping[str, str] | None = None) -> list[Target]:
    """What the experts learn of one turn: a caption's sentences dealt out, or the whole answer for one of them.

    Args:
        question: without tags and images.
        answer: of any length.
        question_type: see `kind_of`.
        more: see `kind_of`.

    Raises:
        SubtaskError: no expert is known for this type.
    """
    kind = kind_of(question_type, more)
    if is_caption(kind, question):
        return joined(deal(answer))
    return [Target(expert_of_question(question) if kind == QUESTION else kind, answer)]
