"""What of each benchmark is on this machine: imported, files there, or missing; nothing is ever downloaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.core.stage import read_json
from tasks.evaluation.datasets.importer import there
from tasks.evaluation.datasets.registry import Benchmark, benchmarks, datasets, own_folder, published

IMPORTED = "imported"
"""Folder below the root that `bench import` writes to, one folder a benchmark."""
State = Literal["imported", "files", "missing"]


@dataclass(frozen=True)
class BenchmarkStatus:
    """What there is of one benchmark on this machine."""

    benchmark: Benchmark
    state: State
    folder: Path
    """Where its owner's files are looked for."""
    source: str | None
    """The form the files there are in, or were imported from."""
    samples: int | None
    """Questions imported."""
    comparable: bool | None
    """Whether scores on them may stand beside the published ones."""
    left_out: int | None
    """Questions that could not be taken over."""

    def as_dict(self) -> dict[str, Any]:
        """For machines: the row of the registry, its data set, its published scores, and its status."""
        dataset = datasets()[self.benchmark.dataset]
        return {
            **self.benchmark.model_dump(mode="json", exclude={"dataset"}),
            "dataset": {"name": self.benchmark.dataset, **dataset.model_dump(mode="json")},
            "published": [figure.model_dump(mode="json") for figure in published(self.benchmark.name)],
            "state": self.state,
            "folder": str(self.folder),
            "source": self.source,
            "imported_samples": self.samples,
            "comparable": self.comparable,
            "left_out": self.left_out,
        }


def folder_of(benchmark: Benchmark, root: Path) -> Path:
    """Where the files of a benchmark are looked for: a folder a data set, which its benchmarks share; or its own."""
    own = own_folder(benchmark.name)
    if own is None:
        return root / benchmark.dataset
    return own / benchmark.dataset if (own / benchmark.dataset).is_dir() else own


def imported_folder(name: str, root: Path) -> Path:
    """Where the imported samples of a benchmark lie."""
    return root / IMPORTED / name


def statuses(root: Path) -> list[BenchmarkStatus]:
    """The status of every benchmark, in the registry's order."""
    return [_status(benchmark, root) for benchmark in benchmarks().values()]


def _status(benchmark: Benchmark, root: Path) -> BenchmarkStatus:
    folder, out = folder_of(benchmark, root), imported_folder(benchmark.name, root)
    if (out / "samples.parquet").is_file() and (out / "import.json").is_file():
        done = read_json(out / "import.json")
        left_out = sum(done["rejected"].values())
        return BenchmarkStatus(
            benchmark, "imported", folder, done["source"], done["samples"], done["comparable"], left_out
        )
    for source in benchmark.sources:
        if not there(source, folder):
            return BenchmarkStatus(benchmark, "files", folder, source.name, None, source.comparable, None)
    return BenchmarkStatus(benchmark, "missing", folder, None, None, None, None)
