"""Answers and truths that are more than a text: lists, sets, votes of annotators, booleans, objects.

A list is one answer (`["yes"]`), a set of classes, or what several annotators said; which of them is decided for the
file as a whole, by the rules of docs/reference/metrics.md, and noted in its `input`. What cannot be compared is refused
with its row.
"""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.kinds import of_one_kind
from tasks.evaluation.metrics.prediction_files import as_text
from tasks.evaluation.metrics.text_normalisation import class_name, normalise_text

EXACT = ("classification", "vqa")
"""Tasks whose answers are compared as they stand."""
BOXED = ("detection", "grounding")
"""Tasks whose lists are boxes, for their own parser."""
ALTERNATIVES = "alternatives"
"""Column of a JSON list: all truths of a row that has several, each of them right."""
HELD = ("answer", "text", "label", "value", "content", "caption")
"""The one field of an object that is its text."""
RANKED = frozenset({"score", "confidence", "probability", "prob", "logprob"})
"""Fields of the entries of a ranking, as pipelines of transformers return it: no set of answers."""
ARRAY = re.compile(r"""\[\s*(?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+\s*\]""")
"""How numpy prints an array of texts: without commas, so that Python would join them."""
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
SEPARATORS = (",", ";", "|")
LAST_SEPARATOR = "\N{SYMBOL FOR UNIT SEPARATOR}"
VOTED = "truth of several annotators: the answer that most of them gave is right, every one of equally many"
ANY = "truth of several texts: an answer that is any of them is right"
SETS = "lists are sets of classes: order and repetition do not matter"


class ValueReadError(PredictionsError):
    """A value that cannot be compared."""


@dataclass(frozen=True)
class Settled:
    """Answers and truths as texts."""

    frame: pl.DataFrame
    mark: str | None
    """What separates the classes of a list, where lists were read; None where the texts themselves tell."""
    counts: dict[str, Any]
    """What was read how."""


def settled(frame: pl.DataFrame, path: Path, task: str, truth: str) -> Settled:
    """Answers and truths of the frame as texts that can be compared.

    Raises:
        PredictionsError: a value is an object, or a list where one text is asked for, and says in which row; or
            answers and truths are not of one kind.
    """
    found = _settled(frame, path, task, truth)
    if task not in EXACT:
        return found
    alike, noted = of_one_kind(found.frame, path, task, truth)
    return Settled(alike, found.mark, {**found.counts, **noted})


def _settled(frame: pl.DataFrame, path: Path, task: str, truth: str) -> Settled:
    if task in BOXED or not _any_nested(frame, ("answer", truth)):
        return Settled(frame, None, {})
    counts: dict[str, Any] = {}
    answers = _column(frame, path, "answer", counts, task in EXACT)
    truths = _column(frame, path, truth, None, task in EXACT)
    if read := sum(isinstance(value, list) for value in answers):
        counts["answers_that_are_lists"] = read
    if task not in EXACT:
        several = next((row for row, value in enumerate(answers) if isinstance(value, list) and len(value) > 1), None)
        if several is not None:
            raise ValueReadError(
                f"{path}, row {several + 1}: its answer is a list of {len(answers[several])} texts, and --task {task} "
                "scores one; keep one of them, or name it with --answer-field"
            )
        texts = [[_one(value) for value in values] for values in (answers, truths)]
        columns = [pl.Series(name, one, dtype=pl.String) for name, one in zip(("answer", truth), texts, strict=True)]
        return Settled(frame.with_columns(columns), None, counts)
    choices = _choices(frame)
    if read := sum(isinstance(value, list) for value in truths):
        counts["truths_that_are_lists"] = read
    as_sets = task == "classification" or _are_sets(answers, truths) or choices
    mark = _mark(answers, truths)
    if not as_sets:
        return _alternatives(frame, truth, answers, truths, counts)
    known = _names(truths)
    joined = [_joined(value, mark, known) for value in answers], [_joined(value, mark, known) for value in truths]
    if any(isinstance(value, list) and len(value) > 1 for value in (*answers, *truths)):
        counts["lists"] = SETS
    columns = [pl.Series(name, texts, dtype=pl.String) for name, texts in zip(("answer", truth), joined, strict=True)]
    return Settled(frame.with_columns(columns), mark, counts)


def _alternatives(
    frame: pl.DataFrame, truth: str, answers: list[Any], truths: list[Any], counts: dict[str, Any]
) -> Settled:
    """Truths of several annotators: the column has the first that is right, `ALTERNATIVES` all that are."""
    voted = any(isinstance(value, list) and len(set(map(normalise_text, value))) < len(value) for value in truths)
    right = [_right(value, voted) for value in truths]
    if any(len(texts) > 1 for texts in right) or voted:
        counts["truths"] = VOTED if voted else ANY
    columns = [
        pl.Series("answer", [_one(value) for value in answers], dtype=pl.String),
        pl.Series(truth, [texts[0] if texts else None for texts in right], dtype=pl.String),
        pl.Series(ALTERNATIVES, [json.dumps(texts) if len(texts) > 1 else None for texts in right], dtype=pl.String),
    ]
    return Settled(frame.with_columns(columns), None, counts)


def _right(value: Any, voted: bool) -> list[str]:
    if not isinstance(value, list):
        return [] if value is None else [value]
    spelt = {normalise_text(text): text for text in reversed(value)}
    if not voted:
        return [spelt[plain] for plain in dict.fromkeys(map(normalise_text, value))]
    votes = Counter(map(normalise_text, value))
    most = max(votes.values(), default=0)
    return [spelt[plain] for plain in dict.fromkeys(map(normalise_text, value)) if votes[plain] == most]


def _any_nested(frame: pl.DataFrame, names: Iterable[str]) -> bool:
    return any(frame[name].str.contains(r"^\s*(?:[\[{]|set\()").any() for name in names)


def _column(frame: pl.DataFrame, path: Path, name: str, counts: dict[str, Any] | None, numbers: bool) -> list[Any]:
    """Each value of a column; an answer that cannot be compared is counted and stays as it is written, a truth is not.

    Raises:
        ValueReadError: a truth cannot be compared, or no answer at all can.
    """
    known: dict[str | None, Any] = {None: None}
    unread: dict[str | None, ValueReadError] = {}
    texts = frame[name].to_list()
    for row, text in enumerate(texts, start=1):
        if text in known or text is None:
            continue
        try:
            known[text] = _value(text, f"{path}, row {row}: '{name}'", numbers)
        except ValueReadError as error:
            if counts is None:
                raise
            known[text], unread[text] = text, error
    if counts is not None and (count := sum(text in unread for text in texts)):
        if count == sum(text is not None for text in texts):
            raise next(iter(unread.values()))
        counts["answers_that_cannot_be_compared"] = count
    return [known[text] for text in texts]


def _value(text: str, where: str, numbers: bool) -> Any:
    """A text, or the list of texts that it spells; None for none. Without `numbers` a list of these is a box."""
    bare = text.strip()
    if bare[:1] not in "[{" and not bare.startswith("set("):
        return text
    found = _literal(bare)
    boxed = isinstance(found, list) and not all(isinstance(item, str | dict) for item in found)
    if found is None or (boxed and not numbers):
        return text
    return _flat(found, text, where)


def _literal(text: str) -> Any:
    """What a JSON text, or Python's or numpy's spelling of a list, set or object, holds; None if it is none."""
    if ARRAY.fullmatch(text):
        return [one or other for one, other in QUOTED.findall(text)]
    if text == "set()":
        return []
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        pass
    if len(text) > 100_000:
        return None
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None
    return sorted(found, key=str) if isinstance(found, set | frozenset) else found


def _flat(value: Any, text: str, where: str) -> Any:
    if isinstance(value, dict):
        return _of_object(value, text, where)
    if not isinstance(value, list | tuple):
        return _scalar(value)
    if len(value) == 1:
        return _flat(value[0], text, where)  # one answer in brackets, as lmms-eval keeps it
    if any(isinstance(item, dict) and RANKED & set(item) for item in value):
        raise ValueReadError(f"{where} is a ranking of {len(value)} answers, {text[:80]!r}; keep the first of each")
    items = [_flat(item, text, where) if isinstance(item, dict) else item for item in value]
    if any(isinstance(item, list | tuple | dict) for item in items):
        raise ValueReadError(f"{where} is a list of lists, {text[:80]!r}; one list of texts can be compared")
    return [scalar for item in items if (scalar := _scalar(item)) is not None] or None


def _of_object(value: dict[str, Any], text: str, where: str) -> Any:
    """The text in an object: its one known field, or the classes that it has as true."""
    if value and all(isinstance(item, bool) for item in value.values()):
        return [name for name, item in value.items() if item] or None
    held = [name for name in HELD if name in value]
    if len(held) == 1 or (held and held[0] == "answer"):
        return _flat([value[held[0]]], text, where)
    raise ValueReadError(
        f"{where} is an object of {len(value)} fields, {text[:80]!r}; say which of them is meant with --answer-field "
        "or --truth-field, as FIELD.NAME"
    )


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return as_text(value)


def _one(value: Any) -> str | None:
    """The text of a value; several are kept as a JSON list, which is the answer of nobody."""
    return json.dumps(value) if isinstance(value, list) else None if value is None else str(value)


def _choices(frame: pl.DataFrame) -> bool:
    return "answer_type" in frame.columns and bool(frame["answer_type"].is_in(["choice", "labels"]).any())


def _are_sets(answers: Sequence[Any], truths: Sequence[Any]) -> bool:
    """Whether the lists of a file of questions are sets: an answer is a list, too, and no truth says a thing twice."""
    several = any(isinstance(value, list) and len(value) > 1 for value in answers)
    listed = [value for value in truths if isinstance(value, list)]
    return several and all(len(set(map(normalise_text, value))) == len(value) for value in listed)


def _mark(answers: Sequence[Any], truths: Sequence[Any]) -> str:
    """A separator that no class of a list has in its name."""
    items = {item for value in (*answers, *truths) if isinstance(value, list) for item in value}
    texts = {value for value in truths if isinstance(value, str)}
    if any(isinstance(value, list) for value in truths):
        items |= texts
    elif any(";" in text for text in texts) and not any(";" in item for item in items):
        return ";"  # the truths are texts, and part their classes so
    return next((mark for mark in SEPARATORS if not any(mark in item for item in items)), LAST_SEPARATOR)


def _names(truths: Sequence[Any]) -> frozenset[str]:
    return frozenset(class_name(item) for value in truths if isinstance(value, list) for item in value)


def _joined(value: Any, mark: str, known: frozenset[str]) -> str | None:
    if isinstance(value, list):
        return f"{mark} ".join(value)
    if value is None or not known:
        return None if value is None else str(value)
    if mark == ",":
        return re.sub(r"\s*[;|\n]\s*", ", ", value.strip())
    # A text of classes with commas in their names: the longest run of its parts that is a class is one.
    parts, found = re.split("[;,]", value), []
    while parts:
        size = next((n for n in range(len(parts), 0, -1) if class_name(",".join(parts[:n])) in known), 1)
        found.append(",".join(parts[:size]).strip())
        parts = parts[size:]
    return f"{mark} ".join(found)
