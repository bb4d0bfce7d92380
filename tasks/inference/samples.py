"""Samples of a mixture: rows of its tables, encoded for the model, with every one that cannot be used
named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from models.earthdial.prompt import IMAGE, Encoded, PromptError, Tokenizer, encode
from tasks.core import conversations, tables
from tasks.core.errors import TrainingError

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),  # <conversation_id>/<modality>
        ("chip_id", pa.string()),
        ("sensor", pa.string()),
        ("modality", pa.string()),  # rgb, ms or sar
        ("shard", pa.string()),  # path from the root of the project
        ("bands", pa.list_(pa.string())),  # in the order they are shown
        ("conversations", pa.string()),  # EarthDial's JSON, tagged for the modality
        ("question_types", pa.list_(pa.string())),  # one a turn
        ("repeats", pa.int32()),  # times the sample is seen in an epoch
    ]
)
"""One row of a mixture."""
REJECTED = pa.schema([("sample_id", pa.string()), ("reason", pa.string()), ("detail", pa.string())])
"""One row for every sample that could not be encoded."""
Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class Sample:
    """One conversation about one image. The fields are the columns of `SCHEMA`."""

    sample_id: str
    chip_id: str
    sensor: str
    modality: str
    shard: str
    bands: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]
    question_types: tuple[str, ...]
    repeats: int

    @property
    def images(self) -> int:
        """Images the sample brings: the chip."""
        return 1


def read_samples(path: Path) -> list[Sample]:
    """The samples of one table of a mixture, in its order.

    Raises:
        TrainingError: a conversation is not EarthDial's schema.
    """
    samples = []
    for row in tables.read(path).to_pylist():
        try:
            turns = conversations.load(row.pop("conversations"))
        except ValueError as error:
            raise TrainingError(f"{path}, sample {row['sample_id']}: {error}; rebuild stage `mixture`") from error
        row["bands"], row["question_types"] = tuple(row["bands"]), tuple(row["question_types"])
        samples.append(Sample(**row, turns=tuple(turns)))
    return samples


def bare_question(question: str) -> str:
    """A question without tags and images: what majority answers are counted by."""
    head, _, tail = question.rpartition(IMAGE)
    return (tail if head or question.startswith(IMAGE) else question).strip()


def encode_samples(
    samples: Sequence[Sample], tokenizer: Tokenizer, tokens_per_image: int, max_length: int
) -> tuple[list[tuple[Sample, Encoded]], list[dict[str, str]]]:
    """Encode every sample; those longer than `max_length` tokens come back as rejected rows.

    Raises:
        TrainingError: the images of a sample do not match the `<image>` in its text, or nothing can be
            learned from it. Training on it in silence would be worse than stopping.
    """
    good: list[tuple[Sample, Encoded]] = []
    rejected: list[dict[str, str]] = []
    for sample in samples:
        try:
            encoded = encode(tokenizer, sample.turns, [tokens_per_image] * sample.images)
        except PromptError as error:
            raise TrainingError(f"sample {sample.sample_id}: {error}; rebuild stages `qa` and `mixture`") from error
        if len(encoded.ids) > max_length:
            detail = f"{len(encoded.ids)} tokens, {max_length} allowed"
            rejected.append({"sample_id": sample.sample_id, "reason": "too-long", "detail": detail})
        else:
            good.append((sample, encoded))
    return good, rejected
