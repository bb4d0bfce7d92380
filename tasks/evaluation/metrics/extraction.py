"""What an answer says, read by the kind of answer that was asked for. Raw answers are kept beside it, and scored; of
choices the scorers read the letters as here.

The rule is fixed, and no model is asked: thoughts and special tokens go, what is marked as the answer is taken, and in
that the one yes or no, number, letter or class that it names. Where it names several it says nothing.
"""

import json
import re
from collections.abc import Sequence

from tasks.dialogue import boxes as text_boxes
from tasks.evaluation.metrics.choices import letters

YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
FIRST = re.compile(r"\W*(yes|no)\b\s*(?:$|[,.;:!\n\u2013\u2014-])\s*(?!\W*(?:yes|no)\b)", re.IGNORECASE)
"""A yes or no at the head of a sentence: `Yes, but there is no forest`, and neither `yes and no` nor `Yes. No.`."""
TRUTH_VALUES = {"true": "yes", "false": "no"}
THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
THOUGHT_END = re.compile(r"^.*</(?:think|thinking|thought|reasoning)>", re.IGNORECASE | re.DOTALL)
SPECIAL = re.compile(r"<\|[^|<>]*\|>|</?s>|<(?:eos|bos|pad|unk|end_of_turn|image)>")
BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
IN_BOX = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
TAGGED = re.compile(r"<(answer|ans|final|final_answer)>(.*?)(?:</\1>|$)", re.IGNORECASE | re.DOTALL)
MARKED = re.compile(r"\b(?:(?:final|correct) )?(?:answer|option|choice)\W{0,4}?\s*(?:\bis\b|:|=)\s*:?", re.IGNORECASE)
"""`The answer is`, `Answer:`, `**Final answer:**`: what follows, to the end of its line, is the answer."""
MARKUP = re.compile(r"[*`_$#]+(?=\S)|(?<=\S)[*`_$]+")
WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
NUMBER_WORDS = {word: str(number) for number, word in enumerate(WORDS.split(" "))}
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
    marked = said(answer)
    found = _extracted(marked, kind, options, form)
    whole = without_thoughts(answer)
    return found or (_extracted(whole, kind, options, form) if marked != whole else found)


def _extracted(answer: str, kind: str, options: Sequence[str], form: str) -> str:
    if kind in ("class", "ordinal") and options:
        named = _named(answer, options)
        return named[0] if len(named) == 1 else ""
    if kind == "labels" and options:
        return ", ".join(_named(answer, options))
    if kind == "yes_no":
        return _yes_or_no(answer)
    if kind == "number":
        return _number(answer)
    if kind == "choice":
        return ", ".join(letters(answer, options))
    if kind in ("boxes", "grounded"):
        return json.dumps(text_boxes.find(answer, form).boxes.round(DECIMALS).tolist())
    return answer.strip()


def without_thoughts(answer: str) -> str:
    """An answer without its thoughts and special tokens; a thought that never ends is all there is."""
    return SPECIAL.sub(" ", THOUGHT_END.sub("", THOUGHT.sub("", answer))).strip()


def said(answer: str) -> str:
    """What an answer marks as its answer, the last such mark; all of it where it marks nothing."""
    text = without_thoughts(answer)
    if tagged := TAGGED.findall(text):
        text = tagged[-1][1]
    if boxed := BOXED.findall(text):
        text = IN_BOX.sub(r"\1", boxed[-1])
    text = MARKUP.sub("", text).strip()
    marks = list(MARKED.finditer(text))
    rest = text[marks[-1].end() :].strip().splitlines() if marks else []
    return rest[0].strip() if rest and rest[0].strip() else text


def _yes_or_no(answer: str) -> str:
    bare = answer.strip().strip("\"'.!").lower()
    if bare in TRUTH_VALUES:
        return TRUTH_VALUES[bare]
    if first := FIRST.match(answer):
        return first[1].lower()
    return _only({word.lower() for word in YES_NO.findall(answer)})


def _number(answer: str) -> str:
    """The one number, in digits or, where there are none, in words; 3 and 3.0 are one."""
    found = [text.replace(",", "").replace("\N{MINUS SIGN}", "-") for text in NUMBER.findall(answer)]
    found = found or [NUMBER_WORDS[word] for word in re.findall(r"[a-z]+", answer.lower()) if word in NUMBER_WORDS]
    return found[0] if len({float(text) for text in found}) == 1 else ""


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
