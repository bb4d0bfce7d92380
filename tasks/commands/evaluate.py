"""`earthloom evaluate`: models asked the questions of benchmarks, and what they score."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from tasks.commands.bench import OwnFolder, include
from tasks.commands.whole_tables import stdout_for
from tasks.core import log, paths
from tasks.core.errors import EarthloomError
from tasks.evaluation.names import HEADLINES, side_name
from tasks.vlm.controls import CONTROLS, ControlName

if TYPE_CHECKING:
    from tasks.evaluation.runner.questions import Model, QuestionSource

ROOT = Path("data/benchmarks")
OUT = Path("data/benchmarks-runs")
Positive = Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))]


class EvaluateError(EarthloomError):
    """A command that does not say what to run."""

    exit_code = 2


def evaluate(
    checkpoint: Path | None = None,
    *,
    benchmarks: Annotated[list[str] | None, cyclopts.Parameter(consume_multiple=True)] = None,
    controls: Annotated[list[ControlName] | None, cyclopts.Parameter(consume_multiple=True)] = None,
    transformers: Path | None = None,
    endpoint: str | None = None,
    model: str | None = None,
    name: str | None = None,
    trained_on: str | None = None,
    root: Path = ROOT,
    out: Path = OUT,
    slots: Positive = 8,
    max_new_tokens: Positive = 256,
    max_tiles: int | None = None,
    adapter: Path | None = None,
    dtype: Literal["float32", "bfloat16"] = "float32",
    load_in: Literal["int8", "int4"] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    threads: int = 0,
    normalise_from: str | None = None,
    boxes: Literal["earthdial", "internvl"] = "earthdial",
    tags: bool = False,
    sensors: bool = False,
    own: OwnFolder = None,
) -> None:
    """Ask a model the questions of imported benchmarks, keep its answers, and score them.

    A run that was stopped goes on where it was. Under torchrun the questions are shared by all processes.

    Parameters
    ----------
    checkpoint
        Folder of a model of ours: weights, tokenizer and statistics.
    benchmarks
        Names, as in `earthloom bench list`, or `demo` for the demo's held-out questions; all that are imported if not
        given.
    controls
        The same questions asked again, each with the image taken away, exchanged or changed.
    transformers
        Folder of a model that transformers can load, in place of a checkpoint of ours.
    endpoint
        Address of an OpenAI-compatible server up to `/v1`, in place of a checkpoint; its key is taken from the
        environment, OPENAI_API_KEY.
    model
        Name of the model at the endpoint.
    name
        What the model is called in tables; that of its folder or endpoint if not given.
    trained_on
        What the model was trained on, by the name under which `earthloom leakage` keeps it; known by itself of the
        checkpoints of this project's own stages.
    root
        Folder of the benchmarks.
    out
        Folder of the runs: MODEL/BENCHMARK/predictions.parquet and run.json.
    slots
        Questions answered together, or on their way to an endpoint.
    max_new_tokens
        Longest answer.
    max_tiles
        Most tiles of a question's images together; as in training if not given.
    adapter
        Folder of an adapter of peft that was trained on the checkpoint, as `earthloom finetune` leaves it.
    dtype
        Numbers the model computes with; in bfloat16 answers may depend on how many are computed together.
    load_in
        Hold the matrices of the checkpoint's language model in 8 or 4 bits, with bitsandbytes.
    device
        Where a checkpoint runs.
    threads
        CPU threads, 0 for all.
    normalise_from
        Where statistics come from that the checkpoint lacks: another one's folder, or `published`.
    boxes
        How a model that is not ours writes boxes.
    tags
        Leave EarthDial's tags in the questions to an endpoint.
    sensors
        Name the sensor beside each image sent to an endpoint, as `earthloom serve` wants it.
    own
        Folder of own benchmarks: TOML rows and files; or EARTHLOOM_BENCHMARKS.
    """
    from tasks.evaluation.runner import processes

    include(own)
    given = [source for source in (checkpoint, transformers, endpoint) if source is not None]
    if len(given) != 1 or (endpoint is None) != (model is None):
        raise EvaluateError(
            "say what to run, and one thing only: the folder of a checkpoint, --transformers FOLDER, or --endpoint URL "
            "with --model NAME"
        )
    if checkpoint is None and (adapter or load_in):
        raise EvaluateError("--adapter and --load-in are for the folder of a checkpoint of ours")
    called = name or model or _name_of(adapter or Path(given[0]))
    if "/" in called or called.startswith("."):
        raise EvaluateError(f"{called!r} cannot name a folder of runs; give another with --name")

    def make(local_rank: int) -> "Model":
        if endpoint is not None and model is not None:
            from tasks.evaluation.runner.endpoint_model import Endpoint, EndpointSettings

            return Endpoint(endpoint, model, EndpointSettings(max_new_tokens, slots, boxes, tags, sensors))
        place = f"{device}:{local_rank}" if device == "cuda" else device
        if transformers is not None:
            from tasks.evaluation.runner.transformers_model import Local, LocalSettings

            return Local(transformers, LocalSettings(slots, max_new_tokens, boxes, dtype), place)
        from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings

        assert checkpoint is not None
        settings = CheckpointSettings(slots, max_new_tokens, max_tiles, dtype, normalise_from, load_in, adapter)
        return Checkpoint(checkpoint, settings, place)

    if threads:
        import torch

        torch.set_num_threads(threads)
    with processes.joined() as world:
        ran = _run_all(
            make,
            called,
            _chosen(benchmarks, root),
            list(dict.fromkeys(controls or [])),
            root,
            out,
            trained_on or (_training_of(checkpoint) if checkpoint and not adapter else None),
            world,
        )
        if world.rank == 0:
            shown = _table(called, ran)
            stdout_for(shown).print(shown)
            log.console.print(f"Answers: [bold]{out / called}[/bold]; `earthloom board` shows them", soft_wrap=True)


def _name_of(folder: Path) -> str:
    """A folder's name; that of a stage, a mere number, with its parent's."""
    whole = folder.resolve()
    return f"{whole.parent.name}-{whole.name}" if whole.name.isdigit() else whole.name


def _training_of(checkpoint: Path) -> str | None:
    """What `earthloom leakage` calls the mixture that a stage of this project trained a checkpoint on."""
    stages = {paths.train(stage).resolve(): paths.mixture(stage) for stage in ("1", "2", "3")}
    # Both stages of RS-MoE learn from the last mixture; what `subtasks` deals out of it is the same questions.
    stages |= {paths.moe(stage).resolve(): paths.mixture("3") for stage in ("1", "2")}
    mixture = stages[checkpoint.resolve()] / "train.parquet" if checkpoint.resolve() in stages else None
    return side_name(mixture) if mixture is not None and mixture.is_file() else None


def _chosen(names: Sequence[str] | None, root: Path) -> list[str]:
    from tasks.evaluation.datasets import registry
    from tasks.evaluation.datasets.status import statuses

    if names:
        return [registry.known(name).name for name in dict.fromkeys(names)]
    here = [row.benchmark.name for row in statuses(root) if row.state == "imported"]
    if not here:
        raise EvaluateError(f"no benchmark is imported in {root}; `earthloom bench list` says what there is")
    return here


def _run_all(
    make: "Callable[[int], Model]",
    called: str,
    names: Sequence[str],
    controls: Sequence[ControlName],
    root: Path,
    out: Path,
    trained_on: str | None,
    world: Any,
) -> list[tuple[dict[str, Any], Path]]:
    """(run.json, its folder) of each benchmark; of the first process only."""
    from tasks.evaluation.runner.questions import EvaluationJob
    from tasks.evaluation.runner.run import check, run

    # What is missing, of files or of the model, shows before any work.
    sources = [_source(name, root) for name in names]
    model = make(world.local_rank)
    jobs = [EvaluationJob(model, called, source, controls, trained_on) for source in sources]
    for job in jobs:
        check(job)
    ran = []
    for job in jobs:
        with ExitStack() as stack:
            shown = _progress(stack, job, world) if world.rank == 0 else None
            record = run(job, out / called / job.source.name, world, shown)
        if record is not None:
            ran.append((record, out / called / job.source.name))
    return ran


def _source(name: str, root: Path) -> "QuestionSource":
    from tasks.evaluation.datasets.registry import HELD_OUT
    from tasks.evaluation.datasets.status import imported_folder
    from tasks.evaluation.runner.held_out import HeldOut
    from tasks.evaluation.runner.imported import ImportedBenchmark

    if name == HELD_OUT.name:
        return HeldOut()
    return ImportedBenchmark(name, imported_folder(name, root))


def _progress(stack: ExitStack, job: Any, world: Any) -> "Callable[[Any, int], None]":
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = stack.enter_context(Progress(*columns, TimeRemainingColumn(), console=log.console))
    total = -(-len(job.source) // world.size)
    lines = {control: bars.add_task(f"{job.source.name}, {control or 'answer'}", total=total) for control in job.asked}
    return lambda control, count: bars.advance(lines[control], count)


def _table(called: str, ran: Sequence[tuple[dict[str, Any], Path]]) -> Table:
    """The headline metric of each benchmark beside its controls."""
    from tasks.core.errors import PredictionsError
    from tasks.evaluation.metrics.score import ScoringSettings, score_file

    narrow = [Column(name, no_wrap=True) for name in ("benchmark", "score", "controls")]
    table = Table(*narrow, "noted", title=called, show_lines=True)
    for run, folder in ran:
        try:
            scores = score_file(folder / "predictions.parquet", run["task"], ScoringSettings(form=run["boxes"]))
        except PredictionsError as error:
            table.add_row(f"{run['benchmark']}\n{run['n']:,} questions", "", "", f"not scored: {error}")
            continue
        metric = next(name for name in HEADLINES if name in scores)
        low, high = scores["ci95"][metric]
        controls = {
            kind: value[metric]
            for kind, value in scores["controls"].items()
            if isinstance(value, dict) and metric in value
        }
        table.add_row(
            f"{run['benchmark']}\n{run['n']:,} questions",
            f"{scores[metric]:.2f} {metric}\n{low:.2f} to {high:.2f}",
            "\n".join(f"{kind} {value:.2f}" for kind, value in controls.items()),
            "\n".join(_noted(run, scores)),
        )
    return table


def _noted(run: dict[str, Any], scores: dict[str, Any]) -> list[str]:
    notes = [f"{count:,} rejected as {reason}, scored as wrong" for reason, count in run["rejected"].items()]
    for name, control in run["controls"].items():
        if lacking := sum(control["rejected"].values()):
            notes.append(f"{lacking:,} have no {CONTROLS[name].key}: {', '.join(control['rejected'])}")
    if run["cut_at_the_longest"]:
        notes.append(f"{run['cut_at_the_longest']:,} answers cut at the longest")
    if scores["controls"]["answers"]["constant_answer_alarm"]:
        notes.append("constant answer")
    if not run["comparable"]:
        notes.append("not comparable to published scores")
    return notes
