"""`earthloom finetune`: adapters trained on imported pairs of one's own, scored before and after."""

from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from rich.console import Console
from rich.table import Table

from tasks.core import log
from tasks.core.errors import MissingInputError

Part = Literal["language", "projector", "fusion"]


def finetune(
    *pairs: Path,
    from_: Annotated[Path, cyclopts.Parameter(name="--from")],
    out: Path,
    held_out: Path | None = None,
    rank: int | None = None,
    alpha: int | None = None,
    targets: Annotated[list[Part] | None, cyclopts.Parameter(consume_multiple=True, negative=())] = None,
    lr: float | None = None,
    epochs: float | None = None,
    batch: int | None = None,
    load_in: Literal["int8", "int4"] | None = None,
    dtype: Literal["float32", "bfloat16"] | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
) -> None:
    """Fine-tune a model on your pairs: LoRA on one GPU, or on the CPU.

    What the flags do not say stands under `finetune:` in params.yaml. A command that was stopped or killed goes on
    where it was, to the same adapter.

    Parameters
    ----------
    pairs
        Folders of imported data sets, as `earthloom import llava` and its like leave them in data/imported.
    from_
        Folder of a checkpoint, of imported weights, or of an adapter that learns on.
    out
        Folder for the adapter, in peft's format.
    held_out
        Imported data set to score on; a share of the images of PAIRS if not given.
    rank
        Columns of an adapter.
    alpha
        What an adapter adds is scaled by alpha / rank.
    targets
        Parts whose matrices get an adapter.
    lr
        Highest learning rate.
    epochs
        Times the pairs are seen.
    batch
        Packs a step: one forward and backward pass each, their gradients added up.
    load_in
        Hold the frozen matrices of the language model in 8 or 4 bits: QLoRA, with bitsandbytes.
    dtype
        Numbers of the forward pass, and of frozen weights; adapters are float32.
    device
        Where it is trained.
    """
    # What can be said at once is said before torch and peft are imported, which takes its time.
    absent = [str(folder) for folder in (*pairs, from_, *([held_out] if held_out else [])) if not folder.is_dir()]
    if absent:
        raise MissingInputError(
            f"{', '.join(absent)}: no such folder; `earthloom import` makes folders of pairs, and a training stage or "
            "`earthloom weights import` the one for --from"
        )
    from tasks.core.stage import storage_errors
    from tasks.finetuning.run import Finetuning, finetune
    from tasks.training.finetune_params import load_params

    flags = {
        "lora.rank": rank, "lora.alpha": alpha, "lora.targets": targets, "lr": lr, "epochs": epochs, "load_in": load_in,
    }  # fmt: skip
    run = {"batch": batch, "precision": dtype, "device": device}
    with storage_errors():
        outcome = finetune(Finetuning(pairs, from_, out, load_params(flags), held_out, run))
    Console().print(_table(outcome))
    log.console.print(
        f"Adapter: [bold]{out}[/bold]; `earthloom chat IMAGE --model {outcome.base} --adapter {out}` talks with it",
        soft_wrap=True,
    )


def _table(outcome: Any) -> Table:
    """Short answers beside their controls, and the loss of all answers, before and after."""
    from tasks.finetuning.scores import BLANK

    table = Table(title="held-out pairs")
    table.add_column("")
    for name in ("before", "after"):
        table.add_column(name, justify="right")
    scores = [outcome.before, outcome.after]
    if outcome.after is not None:
        low, high = outcome.after["ci95"]
        named = {
            "accuracy": f"short answers right, of {outcome.after['n']:,}",
            **{control.key: control.title for control in BLANK},
            "majority": "the commonest answer to the same question",
        }
        for key, title in named.items():
            cells = [f"{one[key]:.1%}" if one and key in one else "-" for one in scores]
            table.add_row(title, *cells)
        table.add_row("95 % of intervals over images", "", f"{low:.1%} to {high:.1%}")
    losses = outcome.summary.get("val_loss") or {}
    if losses:
        table.add_row("loss a token, of all answers", f"{losses['first']:.3f}", f"{losses['last']:.3f}")
    return table
