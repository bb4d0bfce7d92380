"""Which field of a file is the answer and which the truth: by the layout of a known program, or as flags say.

Nothing is guessed: where two readings are possible the file is refused, and asks for `--answer-field` and
`--truth-field`. One program calls the truth `answer`, so a file with `answer` and `prediction` is not read by the first
name that fits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.field_names import ANSWERS, ELSEWHERE, LAYOUTS, TRUTHS, Layout
from tasks.evaluation.metrics.prediction_files import as_text

FLAGS = "name them with --answer-field and --truth-field"
OPTIONS = tuple("ABCDEFGHIJ")
"""Columns of lettered options in VLMEvalKit's tables."""


@dataclass(frozen=True)
class FieldFlags:
    """What a person said of the fields; None where the file is to be recognised."""

    answer: str | None = None
    """`--answer-field`; dots lead into objects: `output.text`."""
    truth: str | None = None
    """`--truth-field`, likewise."""


RECOGNISED = FieldFlags()


@dataclass(frozen=True)
class Named:
    """A frame whose fields have this project's names."""

    frame: pl.DataFrame
    truth: str | None
    """Name of the column of the truth; None where the file holds none."""
    noted: str | None
    """How the fields were read, for the result; None for EarthDial's layout, which is ours."""


def named(frame: pl.DataFrame, path: Path, task: str, flags: FieldFlags) -> Named:
    """The frame with its answers in `answer`, its truth in a column of `TRUTHS`.

    Raises:
        PredictionsError: no field is an answer, several could be, or a flag names a field that is not there.
    """
    frame = _plain_names(frame)
    if flags.answer or flags.truth:
        return _flagged(frame, path, task, flags)
    layout = next((one for one in LAYOUTS if one.has <= set(frame.columns)), None)
    own = next((name for name in TRUTHS[task] if name in frame.columns), None)
    said = [name for name in ANSWERS if name in frame.columns and name not in TRUTHS[task]]
    if "answer" in said and own is not None and not (layout and layout.truth == ("answer",)):
        others = [name for name in said if name not in ("answer", "text", "caption")]
        if others:
            raise _ambiguous(path, frame, f"'answer' and '{others[0]}' may both be what the model said")
        return Named(frame, own, None)
    if layout is not None and any(name in frame.columns for name in layout.answer):
        return _laid_out(frame, path, task, layout, own)
    return _generic(frame, path, task, own, said)


def _plain_names(frame: pl.DataFrame) -> pl.DataFrame:
    """`Ground Truth` is `ground_truth`, where no other field is called so."""
    known = {*ANSWERS, *ELSEWHERE, *(name for names in TRUTHS.values() for name in names), "question", "index", "id"}
    wanted = {name: name.strip().lower().replace(" ", "_") for name in frame.columns}
    given = list(wanted.values())
    return frame.rename(
        {
            name: plain
            for name, plain in wanted.items()
            if plain in known and name != plain and given.count(plain) == 1 and plain not in frame.columns
        }
    )


def _laid_out(frame: pl.DataFrame, path: Path, task: str, layout: Layout, own: str | None) -> Named:
    answer = next(name for name in layout.answer if name in frame.columns)
    truth = next((name for name in layout.truth if name in frame.columns), own)
    if truth is None:
        truths = [name for name in ELSEWHERE if name in frame.columns]
        truth = truths[0] if len(truths) == 1 else None
    further = {name: plain for name, plain in layout.renamed.items() if name in frame.columns}
    rest = {name: plain for name, plain in further.items() if plain not in frame.columns}
    frame = _lettered(frame) if layout.program == "VLMEvalKit" else frame
    noted = f"fields of {layout.program}: '{answer}' is the answer, {_truth_noted(truth)}"
    return _renamed(frame.rename(rest), task, answer, truth, noted)


def _generic(frame: pl.DataFrame, path: Path, task: str, own: str | None, said: Sequence[str]) -> Named:
    truths = [own] if own else [name for name in ELSEWHERE if name in frame.columns and name not in said]
    others = [name for name in said if name != "answer"]
    if not said:
        alone = {"id", "value"} == set(frame.columns) or {"image_id", "bbox"} <= set(frame.columns)
        if alone:
            raise PredictionsError(
                f"{path} has answers alone ({listing(frame.columns)}); give their truths as --truth: a file "
                "with the same ids, or COCO's annotation file"
            )
        raise PredictionsError(
            f"{path} has no field 'answer', nor another that is known to hold what the model said; its fields are "
            f"{listing(frame.columns)}; {FLAGS}"
        )
    if len(said) == 2 and "answer" in said and not truths:
        truths, said = ["answer"], others  # what a program predicts is its answer, beside the data set's own
    if len(said) > 1 or len(truths) > 1:
        doubled = said if len(said) > 1 else truths
        raise _ambiguous(
            path, frame, f"{listing(doubled)} may each be {'the answer' if doubled is said else 'the truth'}"
        )
    truth = truths[0] if truths else None
    return _renamed(frame, task, said[0], truth, f"'{said[0]}' is the answer, {_truth_noted(truth)}")


def _flagged(frame: pl.DataFrame, path: Path, task: str, flags: FieldFlags) -> Named:
    for flag, name in (("--answer-field", flags.answer), ("--truth-field", flags.truth)):
        if name is not None:
            frame = _led_to(frame, path, flag, name)
    truth = flags.truth or next((name for name in TRUTHS[task] if name in frame.columns and name != flags.answer), None)
    answer = flags.answer or next((name for name in ANSWERS if name in frame.columns and name != truth), None)
    if answer is None:
        raise PredictionsError(f"{path} has no other field that is known as an answer; name it with --answer-field")
    if answer == truth:
        raise PredictionsError(f"{path}: --answer-field and --truth-field are both '{answer}'")
    return _renamed(frame, task, answer, truth, f"'{answer}' is the answer, {_truth_noted(truth)}")


def _led_to(frame: pl.DataFrame, path: Path, flag: str, name: str) -> pl.DataFrame:
    """The frame with a column of that name, taken out of objects if its name has dots."""
    if name in frame.columns:
        return frame
    first, *steps = name.split(".")
    if first not in frame.columns or not steps:
        raise PredictionsError(f"{path} has no field '{name}' ({flag}); its fields are {listing(frame.columns)}")
    values = []
    for number, text in enumerate(frame[first].to_list(), start=1):
        value = _loaded(text)
        for step in steps:
            if isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            elif isinstance(value, dict) and step in value:
                value = value[step]
            elif value is not None:
                raise PredictionsError(f"{path}, row {number}: {flag} {name} leads nowhere; '{first}' is {text!r:.80}")
        values.append(as_text(value))
    return frame.with_columns(pl.Series(name, values, dtype=pl.String))


def _loaded(text: str | None) -> object:
    try:
        return json.loads(text or "null")
    except (json.JSONDecodeError, RecursionError):
        return text


def _renamed(frame: pl.DataFrame, task: str, answer: str, truth: str | None, noted: str) -> Named:
    """Answer and truth under their names here; a column that had such a name otherwise is put aside, not read."""
    target = None if truth is None else truth if truth in TRUTHS[task] else _home(task)
    wanted = {answer: "answer", **({truth: target} if truth is not None and target is not None else {})}
    aside = {
        name: f"{name} (not read)"
        for name in frame.columns
        if name not in wanted and (name in wanted.values() or (name in TRUTHS[task] and truth not in TRUTHS[task]))
    }
    if truth is not None and target == truth and answer == "answer":
        return Named(frame, truth, noted)
    return Named(frame.rename({**aside, **wanted}), target, noted)


def _home(task: str) -> str:
    """The column a truth of another name goes to."""
    return "annotation" if "annotation" in TRUTHS[task] and task != "detection" else TRUTHS[task][0]


def _lettered(frame: pl.DataFrame) -> pl.DataFrame:
    """A table whose truths are letters of the columns A, B, ... asks for choices."""
    options = [name for name in OPTIONS if name in frame.columns]
    if len(options) < 2 or "answer" not in frame.columns or "options" in frame.columns:
        return frame
    letters = frame["answer"].drop_nulls().str.strip_chars().unique().to_list()
    if not letters or not set(letters) <= set(options):
        return frame
    rows = frame.select(options).iter_rows()
    offered = [json.dumps([text for text in row if text is not None]) for row in rows]
    return frame.with_columns(options=pl.Series(offered), answer_type=pl.lit("choice"))


def truth_field(frame: pl.DataFrame, path: Path, task: str, flags: FieldFlags) -> tuple[pl.DataFrame, str]:
    """The frame of a file that holds truths alone, and which of its fields they are.

    Raises:
        PredictionsError: none is known to be, several could be, or the flag names one that is not there.
    """
    frame = _plain_names(frame)
    if flags.truth:
        return _led_to(frame, path, "--truth-field", flags.truth), flags.truth
    for names in (TRUTHS[task], ELSEWHERE, ("answer", "value", "caption", "conversations")):
        found = [name for name in names if name in frame.columns]
        if found == ["answers", "multiple_choice_answer"]:  # VQA's annotations: the second is made from the first
            found = found[:1]
        if len(found) > 1 and names is ELSEWHERE:
            raise PredictionsError(f"{path}: {listing(found)} may each be the truth; name it with --truth-field")
        if found:
            return frame, found[0]
    raise PredictionsError(
        f"{path} has no field that is known as a truth; its fields are {listing(frame.columns)}; name it with "
        "--truth-field"
    )


def _truth_noted(truth: str | None) -> str:
    return "its truth is in another file" if truth is None else f"'{truth}' the truth"


def _ambiguous(path: Path, frame: pl.DataFrame, why: str) -> PredictionsError:
    return PredictionsError(f"{path}: {why}; its fields are {listing(frame.columns)}; {FLAGS}")


def listing(names: Sequence[str]) -> str:
    """Names of fields, for people."""
    return ", ".join(f"'{name}'" for name in names)
