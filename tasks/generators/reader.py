"""What a model's answer holds: the whole pairs in it, and what could not be read.

Models are asked for JSON and give it fenced, with words around it, with commas too many, cut short, or as lines that
begin with Q and A. A pair is taken whole or not at all; nothing in it is mended.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.dialogue.pairs import Pair

LONGEST = 65_536
"""Characters of an answer that are read: sixteen times what 4,096 tokens of English are."""
LONGEST_QUESTION, LONGEST_ANSWER = 400, 2_000
"""Characters of a text."""
MOST_PAIRS = 64
"""Of one answer."""
MOST_TRIED = 1_000
"""Places of one answer where an object might begin and none does: an answer of braces alone is no work for minutes."""
OTHER = "other"
"""The question type of a pair whose writer names none that is known."""
STOPS = ("[UNUSED_TOKEN_145]", "<|im_end|>", "<|endoftext|>", "</s>")
"""Tokens that end an answer, which some servers leave in it, with what the model ran on to write after them."""
_CONTROL = re.compile(r"<\|[^|<>]{1,40}\|>|\[UNUSED_TOKEN_\d+\]|</?s>|<image>|<ImageHere>|<img>|</?think>")
"""What a chat template or a conversation would take for a token of its own."""
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
"""A text, which is kept as it is, or a comma with nothing after it."""
_LINE = re.compile(
    r"^[\s>*#-]*(?:\d{1,3}[.)]\s*)?\**(Q|A|Question|Answer)\s*\d{0,3}\**\s*[:.)]\**\s*(.*)$", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\b(?:I'?m sorry|I apologi[sz]e|I (?:can(?:not|'?t)|am unable|am not able|won't)|as an AI)\b", re.IGNORECASE
)
_TYPE = re.compile(r"[a-z][a-z-]{1,30}")


@dataclass(frozen=True)
class Reading:
    """What was read of one answer."""

    pairs: tuple[Pair, ...]
    faults: tuple[str, ...]
    """Each with why: what is no pair, what was cut, why there are none at all."""


def read(text: str) -> Reading:
    """The pairs of an answer.

    Args:
        text: as the model wrote it; anything at all.
    """
    faults = []
    if len(text) > LONGEST:
        faults.append(f"the answer has {len(text):,} characters, of which the first {LONGEST:,} are read")
        text = text[:LONGEST]
    text = _THOUGHT.sub("", text)
    if "<think>" in text:
        return Reading((), (*faults, "the model was still thinking when its answer ended"))
    for stop in STOPS:
        text = text.partition(stop)[0]
    if not text.strip():
        return Reading((), (*faults, "the answer is empty"))
    found, cut = _objects(text)
    rows = [row for value in found for row in _rows(value)]
    if not rows:
        rows = list(_lines(text))
        cut = cut and not rows
    pairs: list[Pair] = []
    for row in rows[:MOST_PAIRS]:
        pair = _pair(row)
        if isinstance(pair, str):
            faults.append(pair)
        elif pair not in pairs:
            pairs.append(pair)
    if len(rows) > MOST_PAIRS:
        faults.append(f"the answer has {len(rows)} pairs, of which the first {MOST_PAIRS} are read")
    if cut:
        faults.append("the answer is cut short; the pairs before the cut are kept")
    if not rows and not cut:
        faults.append("the model refused" if _REFUSAL.search(text) else "the answer holds no question and answer")
    return Reading(tuple(pairs), tuple(faults))


def _objects(text: str) -> tuple[list[dict[str, Any]], bool]:
    """JSON objects in the order in which they stand, and whether one that was begun does not end.

    Where the object around them cannot be read, as when an answer was cut, those in it are found one by one.
    """
    text = _COMMA.sub(lambda match: match[1] or "", text)
    decoder = json.JSONDecoder(strict=False)
    found: list[dict[str, Any]] = []
    place, last, tried = text.find("{"), -1, 0
    while place >= 0 and tried < MOST_TRIED:
        try:
            value, end = decoder.raw_decode(text, place)
            found.append(value)
        except (json.JSONDecodeError, RecursionError):
            end, last, tried = place + 1, place, tried + 1
        place = text.find("{", end)
    tail = text[last:] if last >= 0 else ""
    return found, bool(tail) and tail.count("{") > tail.count("}")


def _rows(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The object itself if it has a question or an answer, else the objects in its lists."""
    lowered = {str(key).lower(): item for key, item in value.items()}
    if "question" in lowered or "answer" in lowered:
        yield lowered
        return
    for item in value.values():
        for one in item if isinstance(item, list) else ():
            if isinstance(one, Mapping):
                yield {str(key).lower(): inner for key, inner in one.items()}


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    """Questions and answers that stand in lines of their own."""
    question = ""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        if match[1][0] in "Qq":
            question = match[2].strip()
        elif question:
            yield {"question": question, "answer": match[2].strip()}
            question = ""


def _pair(row: Mapping[str, Any]) -> Pair | str:
    """The pair of an object, or why it is none."""
    texts = {}
    for name, longest in (("question", LONGEST_QUESTION), ("answer", LONGEST_ANSWER)):
        value = row.get(name)
        if not isinstance(value, str):
            return f"the {name} of a pair is {'missing' if value is None else f'no text but {type(value).__name__}'}"
        if why := _unfit(value, longest):
            return f"the {name} of a pair {why}"
        texts[name] = " ".join(value.split())
    labels = row.get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        return "the labels of a pair are no list of texts"
    kind = row.get("type", OTHER)
    if not isinstance(kind, str):
        return f"the type of a pair is no text but {type(kind).__name__}"
    kind = kind if _TYPE.fullmatch(kind) else OTHER
    clean = tuple(label for label in dict.fromkeys(labels) if not _unfit(label, LONGEST_QUESTION))
    return Pair(texts["question"], texts["answer"], kind, clean)


def _unfit(text: str, longest: int) -> str:
    """Why a text cannot be kept; empty if it can."""
    if not text.strip():
        return "is empty"
    if len(text) > longest:
        return f"has {len(text):,} characters, {longest:,} are allowed"
    if match := _CONTROL.search(text):
        return f"holds the control token {match[0]}"
    if text.isascii() and text.isprintable():
        return ""
    if any("\ud800" <= character <= "\udfff" or character == "\ufffd" for character in text):
        return "has half a character"
    if any((ord(character) < 32 and character not in "\t\n\r") or ord(character) == 127 for character in text):
        return "holds a control character"
    letters = [character for character in text if character.isalpha()]
    foreign = sum(1 for letter in letters if ord(letter) > 0x24F)  # beyond Latin Extended-B
    if foreign > 0.2 * len(letters):
        return "is not in English"
    return ""
