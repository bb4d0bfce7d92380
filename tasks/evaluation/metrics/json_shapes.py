"""Rows out of JSON in the shapes that programs write: lines, an array, an object by id, a table by column."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.field_names import ANSWERS, ID_FIELDS, TRUTH_FIELDS

Row = dict[str, Any]
ID = "id"
"""Field that takes the key where one object is keyed by id."""
VALUE = "value"
"""Field that takes what is no object of fields there: a plain answer, or a plain truth."""
KEY = "key"
"""Field that takes it where the rows have ids of their own that differ."""
HELD = frozenset([*ANSWERS, *TRUTH_FIELDS, *ID_FIELDS, "question", "bbox", "conversations", "doc"])
"""Names that are fields of a row, and no ids."""


def rows(text: str, path: Path, advice: str) -> list[Row]:
    """The rows of a text.

    Args:
        text: JSON lines (also spread over several lines each), an array of objects, or one object: keyed by id; with
            one list of rows in it (`{"model": .., "results": [..]}`); or by column, as pandas writes.
        path: named in errors.
        advice: what is read, for people.

    Raises:
        PredictionsError: it is none of these, or a field stands twice in one object; says where.
    """
    if text.lstrip()[:1] == "[":
        return [_object(row, f"{path}, row {number}") for number, row in enumerate(_whole(text, path, advice), start=1)]
    found = _lines(text, path, advice)
    return _apart(found[0], path, advice) if len(found) == 1 else found


def _whole(text: str, path: Path, advice: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise PredictionsError(f"{path} is not JSON: {error}; {advice}") from error


def _once(pairs: list[tuple[str, Any]], path: Path) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise PredictionsError(f"{path}: '{doubled}' stands more than once in one object, so its value is not certain")
    return found


def _lines(text: str, path: Path, advice: str) -> list[Row]:
    found: list[Row] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=lambda pairs: _once(pairs, path))
        except (json.JSONDecodeError, RecursionError) as problem:
            if not found:  # not a line each: objects spread over lines, or one of them
                return _spread(text, path, problem, number, advice)
            raise PredictionsError(f"{path}, line {number} is not JSON: {problem}; {advice}") from problem
        found.append(_object(value, f"{path}, line {number}", advice))
    return found


def _spread(text: str, path: Path, problem: Exception, number: int, advice: str) -> list[Row]:
    decoder = json.JSONDecoder(object_pairs_hook=lambda pairs: _once(pairs, path))
    found: list[Row] = []
    place = len(text) - len(text.lstrip())
    try:
        while place < len(text):
            value, place = decoder.raw_decode(text, place)
            found.append(_object(value, f"{path}, object {len(found) + 1}", advice))
            place += len(text[place:]) - len(text[place:].lstrip(" \t\r\n,"))
    except (json.JSONDecodeError, RecursionError) as error:
        if found:
            raise PredictionsError(f"{path} is not JSON: {error}; {advice}") from error
        raise PredictionsError(f"{path}, line {number} is not JSON: {problem}; {advice}") from error
    return found


def _apart(only: Row, path: Path, advice: str) -> list[Row]:
    """The rows of the one object of a file."""
    known = [name for name in only if name.strip().lower().replace(" ", "_") in HELD]
    values = list(only.values())
    if known and ".jsonl" in path.name.lower():
        return [only]  # a row whose values are lists, and no table by column
    if known and _alike(values, list):
        return [dict(zip(only, row, strict=True)) for row in zip(*values, strict=True)]
    if known and _alike(values, dict) and len({tuple(value) for value in values}) == 1:
        return [{name: only[name][key] for name in only} for key in values[0]]  # pandas, by column
    if known:
        return [only]
    if {"columns", "data"} <= set(only) and all(isinstance(row, list) for row in only["data"]):
        return [dict(zip(only["columns"], row, strict=False)) for row in only["data"]]  # pandas, "split"
    if all(isinstance(value, Mapping) for value in values):
        return list(_keyed(only))
    lists = [name for name, value in only.items() if _rows_of(value)]
    if len(lists) == 1:
        return list(only[lists[0]])
    if len(lists) > 1:
        raise PredictionsError(
            f"{path}: rows stand under {', '.join(map(repr, lists[:3]))}; keep one list of them. A COCO "
            "annotation file is a truth: give it as --truth"
        )
    if (
        len(only) > 1
        and not any(isinstance(value, Mapping) for value in values)
        and not _alike(values, list, empty=True)
    ):
        return [{ID: key, VALUE: value} for key, value in only.items()]
    if ".jsonl" in path.name.lower():
        return [only]
    raise PredictionsError(f"{path} is one object without rows; {advice}")


def _alike(values: list[Any], kind: type, empty: bool = False) -> bool:
    same = all(isinstance(value, kind) for value in values) and len({len(value) for value in values}) == 1
    return same and (empty or bool(values and values[0]))


def _rows_of(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _keyed(only: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for key, value in only.items():
        yield {KEY if ID in value and str(value[ID]) != key else ID: key, **value}


def _object(row: Any, where: str, advice: str = "") -> Row:
    if not isinstance(row, dict):
        raise PredictionsError(
            f"{where} is not an object of fields, but {type(row).__name__}{'; ' if advice else ''}{advice}"
        )
    return row
