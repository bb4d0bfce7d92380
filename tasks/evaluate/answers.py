"""The model's answers: to every held-out question, and to the same question in each control."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from tasks.core import tables
from tasks.core.errors import UnaskableError
from tasks.evaluate.params import EvaluateParams
from tasks.inference.answer import Answerer, Question
from tasks.inference.arms import changed, kind_key, partners
from tasks.inference.pixels import ChipReader
from tasks.inference.samples import Sample, bare_question
from tasks.scoring.names import Control

FIRST = pa.schema(
    [
        ("sample_id", pa.string()),
        ("turn", pa.int32()),
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("modality", pa.string()),
        ("question_type", pa.string()),
        ("question", pa.string()),
        ("prompt", pa.string()),
        ("annotation", pa.string()),  # the truth
        ("answer", pa.string()),
    ]
)
COLUMNS: dict[Control, str] = {
    "no-image": "blank",
    "other-image": "other_image",
    "shuffled-bands": "shuffled_bands",
    "greyed": "greyed",
}
"""What the columns of each control begin with; with `_answer` they are names of `tasks.scoring.read.ARMS`."""
Row = dict[str, Any]


def questions_of(samples: Iterable[Sample]) -> list[Row]:
    """One row for every turn, with the columns of `FIRST` that are known before any answer."""
    return [
        {
            "sample_id": sample.sample_id,
            "turn": turn,
            "chip_id": sample.chip_id,
            "sensor": sample.sensor,
            "modality": sample.modality,
            "question_type": sample.question_types[turn],
            "question": bare_question(question),
            "annotation": truth,
        }
        for sample in samples
        for turn, (question, truth) in enumerate(sample.turns)
    ]


def predict(samples: Sequence[Sample], checkpoint: Path, params: EvaluateParams) -> list[Row]:
    """The answers to every question, one row each: `FIRST`, and `<control>_answer` of each control.

    A control that a sample cannot have, for there is no other image of its kind or it has one band only, is null.
    """
    if params.threads:
        torch.set_num_threads(params.threads)
    answerer = Answerer(checkpoint, params.device)
    config = answerer.model.config
    chips = ChipReader(answerer.normalise, config.image_size, config.max_tiles)
    ask = partial(answerer.ask, batch=params.batch, max_new_tokens=params.max_new_tokens)
    rows = questions_of(samples)
    own = list(_shown(samples, chips))
    for row, asked, answer in zip(rows, own, ask(own), strict=True):
        row |= {"prompt": asked.prompt, "answer": answer}
    for control in params.controls:
        if control == "no-image":
            told: list[str | None] = [*ask(own, blank=True)]
        else:
            questions = _controlled(samples, chips, control)
            said = iter(ask([question for question in questions if question is not None]))
            told = [None if question is None else next(said) for question in questions]
        for row, answer_to_it in zip(rows, told, strict=True):
            row[f"{COLUMNS[control]}_answer"] = answer_to_it
    return rows


def _controlled(samples: Sequence[Sample], chips: ChipReader, control: Control) -> list[Question | None]:
    """The questions of every turn as a control shows them; None where it cannot."""
    others: list[int | None] = list(range(len(samples)))
    if control == "other-image":
        windows = _windows(samples)
        others = partners([kind_key(sample.images) for sample in samples], [windows[s.chip_id] for s in samples])
    questions: list[Question | None] = []
    for sample, other in zip(samples, others, strict=True):
        try:
            if other is None:
                raise UnaskableError("no_other_image", "no other sample has images of this kind")
            questions += _asked(sample, samples[other], chips, control)
        except UnaskableError:
            questions += [None] * len(sample.turns)
    return questions


def _shown(samples: Iterable[Sample], chips: ChipReader) -> Iterator[Question]:
    for sample in samples:
        yield from _asked(sample, sample, chips, None)


def _asked(sample: Sample, seen: Sample, chips: ChipReader, control: Control | None) -> list[Question]:
    """Every turn of a sample, after the true turns before it, about the images of another or its own."""
    images = tuple(chips.images(seen, partial(changed, arm=control) if control else None))
    return [Question(images, (*sample.turns[:turn], (question, ""))) for turn, (question, _) in enumerate(sample.turns)]


def _windows(samples: Iterable[Sample]) -> dict[str, str]:
    """The window of each sample's first chip: one place on two dates is not another place."""
    shards = sorted({image.shard for sample in samples for image in sample.images})
    found: dict[str, str] = {}
    for shard in shards:
        table = tables.read(Path(shard), ["chip_id", "window_id"])
        found |= dict(zip(table["chip_id"].to_pylist(), table["window_id"].to_pylist(), strict=True))
    return found
