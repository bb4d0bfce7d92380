"""What the demo's training recipe is worth, by cross-validation that never opens a test chip.

    python -m benchmarks.recipes [--data data] [--folds 0 1] [--recipes as-is plain ...]

The training and validation chips of a finished demo (`earthloom demo`) are dealt into four folds by the blocks of
ground that they lie in (folds may touch, as the split's sides may not). All three stages are trained on three folds
and asked about the fourth. Each recipe is params.yaml's with one thing changed. Folds are few and small: differences
of less than 0.02 mean nothing.
"""

import argparse
import contextlib
from functools import partial
from pathlib import Path

import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.on_demo import BLIND, Values, interval, need, trained_and_asked
from tasks import split
from tasks.earth.grid import stable_hash

FOLDS = 4
STAGES = ("1", "2", "3")


def rates(factor: float) -> Values:
    """The rate of each stage of params.yaml times `factor`."""
    train = yaml.safe_load((Path(__file__).resolve().parents[1] / "params.yaml").read_text())["train"]
    return {f"stage{stage}": {"lr": train[f"stage{stage}"]["lr"] * factor} for stage in STAGES}


RECIPES: dict[str, Values] = {
    "as-is": {},
    "images as they are": {"common": {"augment": None}},
    "brightness too": {"common": {"augment": {"turns": True, "gain": 0.1, "shift": 0.1}}},
    "vision at the full rate": {"stage1": {"vision_lr": 1.0}},
    "three packs a step, a third of the steps": {
        "common": {"batch": 3},
        "stage1": {"max_steps": 100},
        "stage2": {"max_steps": 33},
        "stage3": {"max_steps": 133},
    },
    "rates times 3": rates(3.0),
}
ALL: Values = {"common": {"eval_every": 1_000_000, "eval_samples": 1_000_000}}
"""The loss is measured on every held-out question, at the end only."""


def folds_of(data: Path) -> dict[str, int]:
    """Fold of each chip, by the block that its centre lies in."""
    with contextlib.chdir(data.parent):
        chips = split.read_chips()
        params = yaml.safe_load(Path("params.yaml").read_text())
    block = params["grid"]["cell"] * params["split"]["block_cells"]
    column = ((chips["left"] + chips["right"]) / 2 / block).floor().cast(pl.Int64)
    row = ((chips["bottom"] + chips["top"]) / 2 / block).floor().cast(pl.Int64)
    blocks = zip(chips["chip_id"], chips["epsg"], column, row, strict=True)
    return {chip: stable_hash(f"fold/{zone}/{c}/{r}") % FOLDS for chip, zone, c, r in blocks}


def put(recipe: Values, params: Values) -> None:
    """A recipe into the parameters."""
    params["evaluate"]["controls"] = [BLIND.name]
    for section, values in [*ALL.items(), *recipe.items()]:
        params["train"][section] |= values


def deal(data: Path, folds: dict[str, int], fold: int, into: Path) -> None:
    """The mixtures, with the chips of `fold` to be asked about and the others to be trained on."""
    for stage in STAGES:
        rows = pl.concat([pl.read_parquet(data / f"mixture/{stage}/{name}.parquet") for name in ("train", "val")])
        held = pl.col("chip_id").replace_strict(folds, return_dtype=pl.Int64) == fold
        folder = into / f"mixture/{stage}"
        folder.mkdir(parents=True)
        rows.filter(~held).write_parquet(folder / "train.parquet")
        for name in ("val", "test"):
            rows.filter(held).write_parquet(folder / f"{name}.parquet")


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    options = parser.parse_args()
    need(options.data, "mixture/3/train.parquet")
    folds = folds_of(options.data)
    table = Table("recipe", "accuracy", "95 % over chips", "no image", "majority", "loss of answers", "questions")
    for name in options.recipes:
        frames, losses = [], []
        for fold in options.folds:
            answers, loss = trained_and_asked(
                options.data, STAGES, partial(put, RECIPES[name]), partial(deal, options.data, folds, fold)
            )
            frames.append(answers)
            losses.append(loss)
        rows = pl.concat(frames)
        low, high = interval(rows)
        columns = [f"{rows[column].mean():.3f}" for column in (BLIND.mark_column, "majority_correct")]
        loss = sum(loss * len(frame) for loss, frame in zip(losses, frames, strict=True)) / len(rows)
        accuracy = f"{rows['correct'].mean():.3f}"
        table.add_row(name, accuracy, f"{low:.3f} to {high:.3f}", *columns, f"{loss:.3f}", str(len(rows)))
        Console(stderr=True).print(f"{name}: {accuracy}")
    Console().print(table)


if __name__ == "__main__":
    main()
