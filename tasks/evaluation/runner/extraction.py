"""What an answer says, read by the kind of answer that was asked for. Raw answers are kept beside it, and scored; of
choices the scorers read the letters as here.
"""

import json
import re
from collections.abc import Sequence

from tasks.dialogue import boxes as text_boxes
from tasks.evaluation.metrics.choices import letters

YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d[\d,]*(?:\.\d+)?")
DECIMALS = 4
"""Of a fraction of the image."""


def extract(answer: str, kind: str, options: Sequence[str], form: str) -> str:
    """An answer in one spelling; empty where it does not say what was asked for.

    Args:
        answer: as decoded.
        kind: `answer_type` of the sample. class and ordinal: one of the options; labels: those it names, joined by
            commas; yes_no; number; choice: its letters, joined by commas; boxes and grounded: a JSON list of
            [cx, cy, w, h, angle] in fractions of the image; text and caption: the text.
        options: the classes offered.
        form: of the boxes, a name out of `tasks.dialogue.boxes.FORMS`.
    """
    if kind in ("class", "ordinal") and options:
        named = _named(answer, options)
        return named[0] if len(named) == 1 else ""
    if kind == "labels" and options:
        return ", ".join(_named(answer, options))
    if kind == "yes_no":
        return _only({word.lower() for word in YES_NO.findall(answer)})
    if kind == "number":
        return _only({text.replace(",", "").replace("\N{MINUS SIGN}", "-") for text in NUMBER.findall(answer)})
    if kind == "choice":
        return ", ".join(letters(answer, options))
    if kind in ("boxes", "grounded"):
        return json.dumps(text_boxes.find(answer, form).boxes.round(DECIMALS).tolist())
    return answer.strip()


def _named(answer: str, options: Sequence[str]) -> list[str]:
    """The options that an answer names, in their order; one that is part of a longer one named is not meant."""
    rest = f" {_words(answer)} "
    found = []
    for option in sorted(options, key=lambda option: -len(_words(option))):
        name = f" {_words(option)} "
        if name.strip() and name in rest:
            found.append(option)
            rest = rest.replace(name, " | ")
    return [option for option in options if option in found]


def _words(text: str) -> str:
    """A text in lower case, its letters and digits alone."""
    return " ".join(re.sub(r"[^a-z0-9]+", " ", text.lower()).split())


def _only(found: set[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""
