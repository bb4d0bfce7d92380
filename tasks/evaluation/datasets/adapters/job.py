"""What an adapter is given: the benchmark, the source, and the few things it makes the same way everywhere."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.registry import Benchmark, BenchmarkSource
from tasks.evaluation.datasets.samples import AnswerType, BenchmarkImageRef, BenchmarkSample


@dataclass(frozen=True)
class ImportJob:
    """One import."""

    benchmark: Benchmark
    source: BenchmarkSource

    def option(self, name: str, default: Any = None) -> Any:
        """An option of the source in the registry."""
        return self.source.options.get(name, default)

    def question(self, **fields: str) -> str:
        """The prompt as published, with what varies put in."""
        text = self.source.prompt if self.source.prompt is not None else self.benchmark.prompt
        # One pass, so that a question that itself holds {classes} stays as it is.
        values = {"classes": ", ".join(self.benchmark.classes), **fields}
        return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text)

    def image(self, path: Path, date: str = "") -> BenchmarkImageRef:
        """A reference to a file."""
        return BenchmarkImageRef(path=str(path), sensor=self.benchmark.sensor, bands=self.benchmark.bands, date=date)

    def embedded(self, data: bytes, date: str = "") -> BenchmarkImageRef:
        """A reference that holds the image."""
        return BenchmarkImageRef(data=data, sensor=self.benchmark.sensor, bands=self.benchmark.bands, date=date)

    def sample(
        self, id: str, images: list[BenchmarkImageRef], question: str, references: list[str], **more: Any
    ) -> BenchmarkSample:
        """A sample of this benchmark; `answer_type` and `options` are the row's if not given."""
        more.setdefault("answer_type", self.benchmark.answer_type)
        more.setdefault("options", self.benchmark.classes)
        more.setdefault("group", id)
        return BenchmarkSample(
            id=id,
            images=tuple(images),
            question=question,
            references=tuple(references),
            benchmark=self.benchmark.name,
            split=self.benchmark.split,
            task=self.benchmark.task,
            **more,
        )

    def class_called(self, label: str) -> str | None:
        """The class of the published prompt that a folder or label names in another spelling; None if none does."""
        known = {_folded(name): name for name in self.benchmark.classes}
        other = self.option("aliases", {})
        return known.get(_folded(other.get(label, label)))

    def unknown_class(self, label: str) -> str:
        """The sentence that says a label is not among the classes."""
        if not self.benchmark.classes:
            raise BenchmarkError(f"{self.benchmark.name} has no classes in the registry")
        return f"{label!r} is none of the {len(self.benchmark.classes)} classes of {self.benchmark.title}"


def short_answer_type(truth: str) -> AnswerType:
    """What kind of answer a truth in free words is."""
    bare = truth.strip().lower().rstrip(".")
    return "yes_no" if bare in ("yes", "no") else "number" if bare.isdigit() else "text"


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
