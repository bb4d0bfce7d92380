"""Whether answers and truths are of one kind: true beside yes, 1 beside yes, a number beside the name of a class."""

from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.text_normalisation import normalise_text, number

WORDS = {"true": "yes", "false": "no", "yes": "yes", "no": "no"}
DIGITS = {"1": "yes", "0": "no", "1.0": "yes", "0.0": "no"}


def of_one_kind(frame: pl.DataFrame, path: Path, task: str, truth: str) -> tuple[pl.DataFrame, dict[str, Any]]:
    """The frame with booleans and digits as yes and no where the truths ask for these, and what was read so.

    Raises:
        PredictionsError: all answers are numbers and no truth is, or the other way round for classes.
    """
    answers, truths = (_distinct(frame, name) for name in ("answer", truth))
    if not answers or not truths:
        return frame, {}
    both = {**WORDS, **DIGITS}
    digits = answers <= set(DIGITS) or truths <= set(DIGITS)
    if digits and (answers <= set(WORDS) or truths <= set(WORDS)) and answers | truths <= set(both):
        return _mapped(frame, truth, both), {"booleans": "1 and true are read as yes, 0 and false as no"}
    if truths <= set(WORDS) and (truths | answers) & {"true", "false"}:
        return _mapped(frame, truth, WORDS), {"booleans": "true is read as yes, false as no"}
    rest = f"such as {min(answers)!r}, every truth {{}}, such as {min(truths)!r}: they cannot be compared; write names"
    named = not any(number(text) is not None for text in truths) and (task == "classification" or truths <= set(WORDS))
    if named and all(number(text) is not None for text in answers):
        raise PredictionsError(f"{path}: every answer is a number, {rest.format('a name')}")
    wordy = task == "classification" and not any(any(map(str.isdigit, text)) for text in answers)
    if wordy and all(number(text) is not None for text in truths):
        raise PredictionsError(f"{path}: every answer is a name, {rest.format('a number')}")
    return frame, {}


def _distinct(frame: pl.DataFrame, name: str) -> set[str]:
    return {plain for text in frame[name].drop_nulls().unique().to_list() if (plain := normalise_text(text))}


def _mapped(frame: pl.DataFrame, truth: str, words: dict[str, str]) -> pl.DataFrame:
    columns = []
    for name in ("answer", truth):
        spelt = {text: words.get(normalise_text(text), text) for text in frame[name].drop_nulls().unique().to_list()}
        columns.append(frame[name].replace(spelt).alias(name))
    return frame.with_columns(columns)
