"""A fine-tuning from its pairs to its adapter: scored, trained, scored again. What was done before a kill is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.errors import ParamsError, TrainingError
from tasks.core.stage import Summary, address, read_json, write_json
from tasks.evaluation.runner.checkpoint_model import CheckpointSettings
from tasks.finetuning.base import Base, continued, find_base, tokenizer_of
from tasks.finetuning.pairs import Pairs, read_pairs, write_statistics
from tasks.finetuning.scores import Short, score
from tasks.training.distributed import choose_device
from tasks.training.finetune_params import FinetuneParams, FinetuneStage
from tasks.training.job import TrainingJob, footer, train
from tasks.training.params import RunParams
from tasks.training.stopping import stop_on_sigterm
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.loading import FINETUNE_RECORD

NAME = "finetune"


@dataclass(frozen=True)
class Finetuning:
    """What is asked for."""

    pairs: tuple[Path, ...]
    """Folders of imported data sets."""
    source: Path
    """A checkpoint, or an adapter that learns on."""
    out: Path
    params: FinetuneParams
    held_out: Path | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    """In place of keys of `finetune.common`."""

    @property
    def name(self) -> str:
        """Of its work folder."""
        return self.out.name

    @property
    def work(self) -> Path:
        """Where tables, statistics and answers lie that a killed run goes on from."""
        return paths.work(address(NAME, f"{self.name}.pairs"))


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    base: Path
    """The checkpoint that the adapter belongs to."""
    summary: Summary
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    """Scores of the short held-out answers; None where there is none."""


def finetune(asked: Finetuning) -> Outcome:
    """Train adapters on pairs.

    Raises:
        EarthloomError: the pairs, the base or a parameter cannot be used; says which and why.
        StoppedError: SIGTERM came; the same command goes on.
    """
    base = find_base(asked.source)
    tokenizer = tokenizer_of(base)
    params, tokens = continued(base, asked.params)
    pairs = read_pairs(asked.pairs, asked.held_out, params.held_out)
    if tokens is None:
        tokens = base.tokens(tokenizer, pairs.tags) if params.lora.tag_embeddings else ()
    common = _common(asked, base)
    sides = pairs.write(asked.work)
    folders = [*asked.pairs, *([asked.held_out] if asked.held_out else [])]
    normalise = write_statistics(folders, base.normalise, asked.work / "stats")
    normalise.save(asked.work)
    stage = FinetuneStage(
        trains=list(params.lora.targets),
        lr=params.lr,
        vision_lr=1.0,
        epochs=params.epochs,
        max_steps=params.max_steps,
        lora=params.lora,
        tokens=tokens,
        start=base.adapter,
    )
    shards = [footer(path) for folder in folders for path in sorted(folder.rglob("shard-*.parquet"))]
    job = TrainingJob(
        name=NAME,
        stage=asked.name,
        common=common,
        params=stage,
        settings={"load_in": params.load_in, "base": base.hash, "shards": shards},
        inputs=tuple(one for one in (*sides.values(), asked.work / "stats", base.adapter) if one is not None),
        mixtures=sides,
        statistics=lambda sensor: asked.work / "stats" / f"{sensor}.json",
        out=asked.out,
        tokenizer=lambda: (tokenizer, tokenizer.save_pretrained),
        begin=lambda _: base.model(common.precision, params.load_in, str(choose_device(common)), common.seed),
        data=_data,
        module=__name__,
        chips=asked.work,  # where none are: the shards of the pairs are among the settings
        keep=partial(_keep, asked, base, stage, pairs),
    )
    trained = _is_trained(job)
    score_as = partial(_score, asked, base, params, common, sides)
    before = score_as("before", base.adapter)
    if not trained:
        with stop_on_sigterm() as stop:
            summary = train(job, stop)
        normalise.save(asked.out)
        record = {**read_json(asked.out / FINETUNE_RECORD), "summary": summary}
        write_json(asked.out / FINETUNE_RECORD, record)
    after = score_as("after", asked.out)
    record = read_json(asked.out / FINETUNE_RECORD)
    write_json(asked.out / FINETUNE_RECORD, {**record, "scores": {"before": before, "after": after}})
    return Outcome(base.folder, record["summary"], before, after)


def _data(*args: Any) -> Any:
    from tasks.training.dataloader import Data

    return Data(*args)


def _common(asked: Finetuning, base: Base) -> RunParams:
    """The recipe of the run, its packs no longer than what the base can read."""
    text = read_json(base.folder / "config.json")["text_config"]
    values = {**asked.params.common, **{name: value for name, value in asked.run.items() if value is not None}}
    common = asked.params.model_copy(update={"common": values}).run_params()
    if common.parallel != "none":
        raise ParamsError(f"finetune.common.parallel is {common.parallel}; adapters are trained on one device: none")
    return common.model_copy(update={"max_length": min(common.max_length, text["max_position_embeddings"])})


def _is_trained(job: TrainingJob) -> bool:
    """Whether the output is there, of the same inputs; a folder of anything else is never written over.

    Raises:
        TrainingError: something else is there.
    """
    marker = (job.fresh_work() / "fingerprint").read_text()
    record = job.out / FINETUNE_RECORD
    if record.is_file() and read_json(record)["made_from"] == marker:
        return "summary" in read_json(record)
    if job.out.exists():
        raise TrainingError(
            f"{job.out} is there already, made from other pairs, weights or parameters; remove it or name another "
            "folder"
        )
    return False


def _keep(asked: Finetuning, base: Base, stage: FinetuneStage, pairs: Pairs, model: Any, folder: Path) -> None:
    """Write the adapter, and what it was made from."""
    from tasks.training.lora import write_adapter

    write_adapter(model, folder, base.folder)
    record = {
        "made_from": (paths.work(address(NAME, asked.name)) / "fingerprint").read_text(),
        "base": {"path": base.folder.as_posix(), "hash": base.hash},
        "continues": base.adapter.as_posix() if base.adapter else None,
        "pairs": [folder.as_posix() for folder in asked.pairs],
        "held_out": asked.held_out.as_posix() if asked.held_out else None,
        "conversations": {"trained": len(pairs.train), "held_out": len(pairs.val)},
        "load_in": asked.params.load_in,
        "recipe": stage.model_dump(mode="json", include={"lr", "epochs", "max_steps", "lora", "tokens"}),
    }
    write_json(folder / FINETUNE_RECORD, record)


def _score(
    asked: Finetuning,
    base: Base,
    params: FinetuneParams,
    common: RunParams,
    sides: dict[str, Path],
    when: str,
    adapter: Path | None,
) -> dict[str, Any] | None:
    settings = CheckpointSettings(
        max_new_tokens=params.max_new_tokens,
        dtype=common.precision,
        normalise_from=str(asked.work / NORMALISATION_FILE),
        load_in=params.load_in,
        adapter=adapter,
    )
    device, short = str(choose_device(common)), Short(params.short_words)
    work = asked.work / when
    return score(when, base.folder, settings, device, sides, short, work / "scored", work / "answers")
