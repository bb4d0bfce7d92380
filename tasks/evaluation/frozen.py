"""A set of test questions that never changes, so that models of different versions can be held against each other.

A folder with `questions.parquet`, a table of a mixture whose images name their shard by its path from the root of the
project, and `labels.parquet`: the label source that the truth of each sample comes from.
"""

from dataclasses import dataclass
from pathlib import Path

from tasks.core import tables
from tasks.core.errors import MissingInputError

SPECTRAL_KINDS = frozenset({"presence", "scene-class", "dominant", "comparison", "share", "list"})
"""Kinds of what this project calls questions of spectral labels: what is there, how much, which is more; no places."""
SPECTRAL_SOURCE = "spectral-rules"
"""Their label source: classes read from near and short-wave infrared by rules (tasks/earth/spectral_rules.py)."""


@dataclass(frozen=True)
class Frozen:
    """One frozen set."""

    folder: Path

    @classmethod
    def of(cls, folder: str | None) -> "Frozen | None":
        """The set that `evaluate.frozen` names, if any.

        Raises:
            MissingInputError: the folder lacks one of its tables.
        """
        if folder is None:
            return None
        found = cls(Path(folder))
        for path in (found.questions, found._labels):
            if not path.is_file():
                raise MissingInputError(
                    f"evaluate.frozen: {path} is not there; name the folder of such a set (docs/samples.md), or null"
                )
        return found

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.folder.name

    @property
    def questions(self) -> Path:
        """Its samples."""
        return self.folder / "questions.parquet"

    @property
    def _labels(self) -> Path:
        return self.folder / "labels.parquet"

    def sources(self) -> dict[str, str]:
        """Label source of the truth of each sample; several are joined by +."""
        table = tables.read(self._labels, ["sample_id", "label_source"])
        return dict(zip(table["sample_id"].to_pylist(), table["label_source"].to_pylist(), strict=True))


def is_spectral(question_type: str, source: str) -> bool:
    """Whether a question is one of spectral labels."""
    return source == SPECTRAL_SOURCE and question_type in SPECTRAL_KINDS
