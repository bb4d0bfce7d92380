"""Which model answered which benchmark: the folders that runs left, and the demo's own held-out questions.

A run is a folder `<model>/<benchmark>` with predictions.parquet (or .jsonl, .json) and run.json beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from tasks.core import paths
from tasks.core.errors import BenchmarkError, MissingInputError
from tasks.core.stage import read_json
from tasks.evaluation.datasets import registry
from tasks.evaluation.names import MODELS, RELEASED, BoxForm, Task

RUNS = paths.DATA / "benchmarks-runs"
FILES = ("predictions.parquet", "predictions.jsonl", "predictions.json")


@dataclass(frozen=True)
class ModelRun:
    """One model's answers to one benchmark."""

    model: str
    benchmark: str
    path: Path
    task: Task
    title: str
    modality: str
    form: BoxForm = "earthdial"
    training: str | None = None
    """Name of what the model was trained on, as `earthloom leakage` files it; None if run.json does not say."""
    comparable: bool = True
    """Whether questions and truths are those the published scores were taken on."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """run.json as it stands: checkpoint, protocol, number of questions."""


def find(folder: Path | None = RUNS, demo: Path | None = None) -> list[ModelRun]:
    """Every run under `folder`, by benchmark in the registry's order and then by model; the demo's first.

    Args:
        folder: of the runs; it need not exist. None for the demo alone.
        demo: folder of the runs that stage `evaluate` leaves, one a model, or None to look where it does.

    Raises:
        MissingInputError: there is no run at all, or one has no predictions.
        BenchmarkError: a run.json names no model, or a benchmark that is not known.
    """
    found = [_run(path) for path in sorted(folder.glob("*/*/run.json"))] if folder else []
    position = {name: number for number, name in enumerate(registry.benchmarks())}
    found.sort(key=lambda run: (position.get(run.benchmark, -1), run.model))
    demo = demo or paths.evaluate(RELEASED).parent
    own = [demo / key / "run.json" for key in MODELS]
    found = [*(_run(path) for path in own if path.is_file()), *found]
    _refuse_doubled(found)
    if not found:
        raise MissingInputError(
            f"there is nothing to show: no run under {folder or RUNS}, and none under {demo}; `earthloom demo` makes "
            "the latter, `earthloom evaluate` runs models on benchmarks"
        )
    return found


def _run(path: Path) -> ModelRun:
    record = read_json(path)
    missing = [name for name in ("model", "benchmark") if not isinstance(record.get(name), str)]
    if missing:
        raise BenchmarkError(f"{path} does not name its {' and '.join(missing)}; run the model again")
    answers = next((path.parent / name for name in FILES if (path.parent / name).is_file()), None)
    if answers is None:
        raise MissingInputError(f"{path.parent} has run.json, but none of {', '.join(FILES)}; run the model again")
    form = record.get("boxes", "earthdial")
    if form not in get_args(BoxForm):
        raise BenchmarkError(f"{path}: boxes are written as {form!r}; allowed: {', '.join(get_args(BoxForm))}")
    row = registry.known(record["benchmark"])
    return ModelRun(
        model=record["model"],
        benchmark=row.name,
        path=answers,
        task=row.task,
        title=row.title,
        modality=row.modality,
        form=form,
        training=record.get("training"),
        comparable=bool(record.get("comparable", True)),
        record=record,
    )


def _refuse_doubled(runs: list[ModelRun]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for run in runs:
        key = run.model, run.benchmark
        if key in seen:
            raise BenchmarkError(f"{run.path} and {seen[key]} are both {run.model} on {run.benchmark}; remove one")
        seen[key] = run.path
