"""Which fusion answers multispectral questions best: stage 3 of the demo's training with each, over several seeds.

    python -m benchmarks.fusions [--seeds 3] [--kinds attention mosaic mean max] [--data data]

Needs the artifacts of a run (`earthloom demo`). Stages 1 and 2 show true colour alone, one band group an image, which
no fusion touches: all kinds start from the same weights, and differ in stage 3. Each trained model answers the held-out
questions about multispectral images; for comparison it answers the same questions shown in true colour. The interval
is over chips (95 %, bootstrap, all seeds together); `sd` is over seeds. Training is real, in a folder of its own.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.on_demo import BLIND, Values, interval, need, trained_and_asked


def change(fusion: str, seed: int, params: Values) -> None:
    """This kind and seed into the parameters."""
    params["model"]["fusion"] = fusion
    params["train"]["common"]["seed"] = seed
    params["evaluate"]["controls"] = [BLIND.name]


def stages_before(data: Path, into: Path) -> None:
    """The mixtures, and the weights that stage 3 starts from."""
    (into / "mixture").symlink_to((data / "mixture").resolve())
    (into / "train/2").symlink_to((data / "train/2").resolve())


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=["attention", "mosaic", "mean", "max"])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    need(options.data, "train/2/model.safetensors")
    console = Console()
    rows = []
    for kind in options.kinds:
        for seed in range(options.seeds):
            asked = trained_and_asked(
                options.data, ("3",), partial(change, kind, seed), partial(stages_before, options.data)
            )[0]
            rows.append(asked.with_columns(fusion=pl.lit(kind), seed=pl.lit(seed)))
            console.print(f"{kind}, seed {seed}: {rows[-1].filter(modality='ms')['correct'].mean():.3f}")
    frame = pl.concat(rows)
    table = Table(
        "fusion", "multispectral", "95 % over chips", "sd over seeds", "no image", "majority", "same in RGB", "n"
    )
    figures = []
    for kind in options.kinds:
        ms = frame.filter(fusion=kind, modality="ms")
        rgb = frame.filter(fusion=kind, modality="rgb").filter(
            pl.col("image_id").is_in(ms["image_id"].unique().to_list())
        )
        low, high = interval(ms)
        spread = ms.group_by("seed").agg(pl.col("correct").mean())["correct"].std() or 0.0
        figure = {
            "fusion": kind,
            "accuracy": ms["correct"].mean(),
            "low": low,
            "high": high,
            "sd": spread,
            BLIND.key: ms[BLIND.mark_column].mean(),
            "majority": ms["majority_correct"].mean(),
            "rgb": rgb["correct"].mean(),
            "questions": ms.height // options.seeds,
            "chips": ms["image_id"].n_unique(),
        }
        figures.append(figure)
        table.add_row(
            kind,
            f"{figure['accuracy']:.3f}",
            f"{low:.3f} to {high:.3f}",
            *(f"{figure[name]:.3f}" for name in ("sd", BLIND.key, "majority", "rgb")),
            f"{figure['questions']} on {figure['chips']} chips, {options.seeds} seeds",
        )
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
