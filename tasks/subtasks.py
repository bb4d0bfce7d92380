"""Stage `subtasks`: what each expert of RS-MoE learns of every turn of the last mixture.

The paper splits its captions into theme, objects and relations before its second stage (spec of RS-MoE, section 2). The
mixture's rows stay as they are; a column `targets` beside them says which experts learn from a turn, and what.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from models.rsmoe.prompt import EXPERTS
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, SubtaskError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main, require
from tasks.dialogue import conversations
from tasks.dialogue.subtasks import QUESTION, deal, is_caption, joined, kind_of, targets
from tasks.vlm.samples import SCHEMA as MIXTURE
from tasks.vlm.samples import bare_question

STAGE = "3"
"""The mixture that is dealt out: the one that holds every sensor and modality."""
SPLITS = ("train", "val", "test")
TARGET = pa.struct([("expert", pa.string()), ("text", pa.string())])
SCHEMA = MIXTURE.append(pa.field("targets", pa.list_(pa.list_(TARGET))))  # one list a turn
"""One row of a mixture with what each expert learns of it."""


class SubtasksParams(Section):
    """`subtasks:` in params.yaml."""

    types: dict[str, Literal["theme", "object", "relation", "caption", "question"]] = Field(
        description="question type of an imported set or of a model's pairs -> the expert that learns its answers; "
        "`caption` deals out their sentences, `question` lets the question's words decide"
    )


class Counts:
    """What was dealt to whom."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.turns = 0
        self.learned: Counter[str] = Counter()
        """Turns by expert."""
        self.captions = 0
        self.sentences: Counter[str] = Counter()
        """Of captions, by `<expert>: <rule>`."""
        self.by_question: Counter[str] = Counter()
        """Turns by type whose question's words decided."""

    def summary(self) -> dict[str, Any]:
        """As a metric: counts, and the share of caption sentences by expert and rule."""
        sentences = sum(self.sentences.values())
        return {
            "turns": self.turns,
            "turns_by_expert": {expert: self.learned[expert] for expert in EXPERTS},
            "turns_without_expert": {expert: self.turns - self.learned[expert] for expert in EXPERTS},
            "turns_by_words_of_the_question": dict(sorted(self.by_question.items())),
            "captions": self.captions,
            "caption_sentences": sentences,
            "share_of_sentences": {rule: round(n / sentences, 4) for rule, n in sorted(self.sentences.items())},
        }


def dealt(row: Mapping[str, Any], types: Mapping[str, str], counts: Counts) -> dict[str, Any]:
    """A row of the mixture with its `targets`.

    Raises:
        SubtaskError: no expert is known for a question's type, or the row is not whole.
    """
    turns = conversations.load(row["conversations"])
    if len(turns) != len(row["question_types"]):
        raise SubtaskError(
            f"sample {row['sample_id']} has {len(turns)} turns and {len(row['question_types'])} question types; "
            "rebuild stage `mixture`"
        )
    learned = []
    for (question, answer), question_type in zip(turns, row["question_types"], strict=True):
        question = bare_question(question)
        kind = kind_of(question_type, types)
        if is_caption(kind, question):
            sentences = deal(answer)
            counts.captions += 1
            counts.sentences.update(f"{one.expert}: {one.rule}" for one in sentences)
            found = joined(sentences)
        else:
            found = targets(question, answer, question_type, types)
        counts.turns += 1
        counts.learned.update(target.expert for target in found)
        counts.by_question.update([question_type] if kind == QUESTION else [])
        learned.append([target._asdict() for target in found])
    return {**row, "targets": learned}


def rows_of(split: str, types: Mapping[str, str], counts: Counts) -> Iterator[dict[str, Any]]:
    """Every row of one side of the mixture, dealt out; a few thousand are in memory at a time."""
    path = require(paths.mixture(STAGE) / f"{split}.parquet")
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=4096):
            for row in batch.to_pylist():
                yield dealt(row, types, counts)


def run() -> Summary:
    """Deal out every side of the mixture."""
    types = load(SubtasksParams, "subtasks").types
    summary = {}
    for split in SPLITS:
        counts = Counts()
        written = tables.write_stream(rows_of(split, types, counts), SCHEMA, paths.subtasks() / f"{split}.parquet")
        summary[split] = {"rows": written, **counts.summary()}
    if not summary["train"]["rows"]:
        raise EmptyStageError("mixture 3 has no training sample; see data/mixture/3 and `mixture.stage3`")
    return summary


if __name__ == "__main__":
    main("subtasks", run)
