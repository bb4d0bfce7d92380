"""The loop: step after step until the end, a row of log.csv now and then, a checkpoint now and then.

The loss of a step is the mean over all its target tokens, however it is cut into packs and spread over processes
(EarthDial means over each forward pass, so that a token of a short one weighs more). What is random in a step is
seeded by the step, so that a resumed run needs no random state.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.parts.packing import attend_within_samples
from tasks.core import log
from tasks.core.errors import TrainingError
from tasks.training import checkpoint
from tasks.training.answers import write_answers
from tasks.training.checkpoint import Progress
from tasks.training.dataloader import Batch, Data, StepPacks, load_from
from tasks.training.distributed import Engine, packs_of_process, share
from tasks.training.lora import add_adapters, chosen_adapters
from tasks.training.network import Network
from tasks.training.optimizer import make_optimizer
from tasks.training.packing import pack
from tasks.training.params import RunParams, StageParams
from tasks.training.schedule import Plan, learning_rate
from tasks.training.stopping import Stop, StoppedError
from tasks.training.throughput import Cost, StepLog, synchronise
from tasks.training.trackers import Trackers, open_trackers
from tasks.vlm.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setup:
    """The model, data and parameters of a run."""

    model: Network
    train: Data
    val: Data
    plan: Plan
    common: RunParams
    stage: StageParams
    work: Path
    world: World
    stop: Stop = field(default_factory=Stop)


class Trainer:
    """Takes the steps of a run."""

    def __init__(self, setup: Setup) -> None:
        """Freeze parts, add adapters, wrap for several processes and resume from a checkpoint if there is one."""
        self.setup, self.world = setup, setup.world
        self.shown = Trackers()
        setup.model.train_parts(list(setup.stage.trains))
        for text_model in setup.model.text_models:
            attend_within_samples(text_model)
        adapters = chosen_adapters(setup.common, setup.stage)
        if adapters is not None:
            add_adapters(setup.model, adapters, list(setup.stage.trains))
        self.rank = adapters.language_rank if adapters else 0
        self.engine: Engine = share(
            setup.model,
            setup.world,
            precision=setup.common.precision,
            parallel=setup.common.parallel,
            checkpoint_every=int(setup.common.checkpointing == "layers"),
            recompute_pointwise=setup.common.checkpointing == "pointwise",
            compile=setup.common.compile,
        )
        self.optimizer = make_optimizer(setup.model, setup.common.weight_decay, setup.stage.vision_lr)
        self.progress = checkpoint.resume(setup.work, setup.model, self.optimizer, setup.world)
        if not self.progress.rows:
            self.progress.rows.append(row(0, 0.0, self.progress, val_loss=self.validation_loss()))

    def train(self) -> Progress:
        """Train to the end.

        Raises:
            StoppedError: SIGTERM came; a checkpoint is written.
            TrainingError: the loss is not a number.
        """
        setup, progress, steps = self.setup, self.progress, self.setup.plan.steps
        packs = StepPacks(setup.train, setup.plan, setup.world, padded=setup.common.compile)
        batches = load_from(packs, progress.step, setup.common.workers)
        writes = self.world.is_first
        live: Any = (setup.work / "progress.jsonl").open("a") if writes else nullcontext()
        setup.stop.stepping = True
        with live as file, closing(open_trackers(setup, progress.step)) as self.shown:
            step_log = StepLog(file, setup.common, setup.world, steps, self.shown.log)
            left: Iterable[int] = range(progress.step, steps)
            for step in log.progress(left, "training") if writes else left:
                stop = self.step(batches, packs.turns(step), step_log)
                if stop or progress.step % setup.common.checkpoint_every == 0:
                    checkpoint.save(setup.work, progress, setup.model, self.optimizer, setup.world)
                if stop:
                    raise StoppedError(
                        f"asked to stop after step {progress.step} of {steps}; "
                        "a checkpoint is written, the same command goes on from it"
                    )
        return progress

    def step(self, batches: Iterator[Batch], turns: int, step_log: StepLog) -> bool:
        """One step of the optimizer over `turns` packs of this process; whether any process was asked to stop."""
        began, number = time.monotonic(), self.progress.step
        common, plan = self.setup.common, self.setup.plan
        # Dropout of adapters is all that is random here; processes draw apart, and a resumed step draws the same.
        torch.manual_seed(int(np.random.SeedSequence([plan.seed, number, self.world.rank]).generate_state(1)[0]))
        targets, tiles, waited = plan.targets(number), plan.tiles(number), 0.0
        seen: list[Batch] = []
        losses = torch.zeros(2, device=self.world.device)
        for turn in range(turns):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            with self.engine.exchange(last=turn + 1 == turns):
                answers, cover = self.losses(batch, targets, tiles)
                # ddp and fsdp average gradients over processes, but the loss is divided by the targets of all of them
                # already.
                ((answers + common.cover * cover) * self.world.size).backward()  # type: ignore[no-untyped-call]
            losses += torch.stack([answers.detach(), cover.detach()])
            seen.append(batch)
        # One exchange for both: all processes stop after the same step, whichever of them was asked to.
        total, cover_loss, stop = self.world.sum([*losses.tolist(), float(self.setup.stop.asked)])
        packs = plan.packs(number)
        # Before the optimizer steps: the last checkpoint and the weights are still good.
        if not math.isfinite(total + cover_loss):
            names = ", ".join(self.setup.train.samples[index].sample_id for index in packs[0][:4])
            raise TrainingError(
                f"the loss of step {number + 1} is {total} ({names}, ...), that of cover {cover_loss}; lower "
                "train.*.lr in params.yaml"
            )
        # After the last pack: the norm is the whole step's, on every process the same.
        norm = nn.utils.clip_grad_norm_(self.setup.model.parameters(), common.clip)
        rate = learning_rate(number, plan.steps, self.setup.stage.lr, common.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        synchronise(self.world.device)
        seconds = time.monotonic() - began
        cost = Cost.of(seen, self.setup.model, self.setup.stage.trains, self.rank).over(self.world)
        self.count(packs)
        self.record(total, cover_loss if self.setup.train.cover else None, rate)
        step_log.write(self.progress.step, cost, len(packs), seconds, waited, total, rate, float(norm))
        return stop > 0

    def losses(self, batch: Batch, targets: int, tiles: int = 1) -> tuple[Tensor, Tensor]:
        """Sum of the pack's token losses over `targets`, the tokens of the whole step, and of its tiles' cover losses
        over `tiles`; the latter is zero where cover is not learned.
        """
        options = {"cover_tiles": tiles} if "cover" in batch.inputs else {}
        with self.engine.autocast():
            out = self.engine.call(
                **batch.to(self.world.device), use_cache=False, skip_logits=True, num_items_in_batch=targets, **options
            )
        answers: Tensor = out.loss
        cover: Tensor = out.cover_loss if options else answers.new_zeros(())
        # Times zero, not skipped: every process must take part in the exchange of gradients.
        return (answers, cover) if batch.counts else (answers * 0, cover * 0)

    def count(self, packs: list[Any]) -> None:
        """Add a step to the progress."""
        sizes, config = self.setup.train.sizes, self.setup.model.config
        samples = np.concatenate(packs)
        self.progress.step += 1
        self.progress.samples += len(samples)
        self.progress.tokens += int(sizes.lengths[samples].sum())
        self.progress.visual_tokens += int(sizes.tiles[samples].sum()) * config.tokens_per_tile

    @torch.no_grad()
    def validation_loss(self) -> float | None:
        """Mean loss of a target token over the first validation samples, of which some are asked; None without any."""
        val, common, model = self.setup.val, self.setup.common, self.setup.model
        number = min(len(val.samples), common.eval_samples)
        if not number:
            return None
        sizes = val.sizes
        packs = pack(np.arange(number), sizes.lengths, sizes.groups, common.max_length, common.max_groups, (0,))
        targets = int(sizes.targets[:number].sum())
        modes = [(module, module.training) for module in model.modules()]
        model.eval()  # type: ignore[no-untyped-call]
        total = 0.0
        for index, counts in packs_of_process(len(packs), self.world):
            batch = replace(val.pack(packs[index], common.max_length if common.compile else None), counts=counts)
            total += float(self.losses(batch, targets)[0])
        if common.eval_answers:
            shown = self.setup.work / "samples.jsonl" if self.world.is_first else None
            write_answers(shown, self.progress.step, val, self.engine, common.eval_answers, common.compile)
        # Module by module: frozen parts were in eval mode before, and must stay so.
        for module, training in modes:
            module.training = training
        return self.world.sum([total])[0]

    def record(self, loss: float, cover_loss: float | None, rate: float) -> None:
        """A row of log.csv, when one is due: at the first and the last step, and every so many."""
        common, step = self.setup.common, self.progress.step
        due = step == self.setup.plan.steps or step % common.eval_every == 0
        if step == 1 or due or step % common.log_every == 0:
            val_loss = self.validation_loss() if due else None
            epoch = self.setup.plan.epoch_at(step)
            self.shown.log(step, {"val_loss": val_loss})
            self.progress.rows.append(row(step, epoch, self.progress, loss, rate, val_loss, cover_loss))


def train(setup: Setup) -> Progress:
    """Train to the end, from the newest checkpoint under `setup.work` if there is one.

    Raises:
        StoppedError: SIGTERM came; a checkpoint is written.
        TrainingError: the loss is not a number.
    """
    return Trainer(setup).train()


def row(
    step: int,
    epoch: float,
    progress: Progress,
    loss: float | None = None,
    rate: float | None = None,
    val_loss: float | None = None,
    cover_loss: float | None = None,
) -> dict[str, Any]:
    """One row of log.csv. No clock: the same run gives the same file."""
    return {
        "step": step,
        "epoch": round(epoch, 4),
        "loss": None if loss is None else float(f"{loss:.6g}"),
        "val_loss": None if val_loss is None else float(f"{val_loss:.6g}"),
        "cover_loss": None if cover_loss is None else float(f"{cover_loss:.4g}"),
        "lr": None if rate is None else float(f"{rate:.6g}"),
        "tokens": progress.tokens,
        "visual_tokens": progress.visual_tokens,
    }
