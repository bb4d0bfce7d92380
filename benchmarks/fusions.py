"""Which fusion answers multispectral questions best: stage 3 of the demo's training with each, over several seeds.

    python -m benchmarks.fusions [--seeds 3] [--kinds attention mosaic mean max] [--data data]

Needs the artifacts of a run (`earthloom demo`). Stages 1 and 2 show true colour alone, one band group an image, which
no fusion touches: all kinds start from the same weights, and differ in stage 3. Each trained model answers the held-out
questions about multispectral images; for comparison it answers the same questions shown in true colour. The interval
is over chips (95 %, bootstrap, all seeds together); `sd` is over seeds. Training is real, in a folder of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from tasks.scoring.tally import means

CARRIED = ("tokenizer", "stats", "chips", "mixture", "split")
ROOT = Path(__file__).resolve().parents[1]


def workspace(folder: Path, data: Path, fusion: str, seed: int) -> None:
    """The finished run's data beside a params.yaml of this kind and seed."""
    (folder / "data/train").mkdir(parents=True)
    for name in CARRIED:
        (folder / "data" / name).symlink_to((data / name).resolve())
    (folder / "data/train/2").symlink_to((data / "train/2").resolve())
    params = yaml.safe_load((data.parent / "params.yaml").read_text())
    params["model"]["fusion"] = fusion
    params["train"]["common"]["seed"] = seed
    params["evaluate"]["controls"] = ["no-image"]
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def answers(data: Path, fusion: str, seed: int) -> pl.DataFrame:
    """The marked answers of one kind and seed."""
    with tempfile.TemporaryDirectory(prefix="fusions-") as temporary:
        folder = Path(temporary)
        workspace(folder, data, fusion, seed)
        for module in (("tasks.train", "--stage", "3"), ("tasks.evaluate",)):
            done = subprocess.run(
                [sys.executable, "-m", *module],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), "PATH": ""},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{fusion}, seed {seed}: {' '.join(module)} failed\n{done.stderr[-2000:]}")
        return pl.read_parquet(folder / "data/evaluate/predictions.parquet").with_columns(
            fusion=pl.lit(fusion), seed=pl.lit(seed)
        )


def interval(rows: pl.DataFrame, count: int = 2000) -> tuple[float, float]:
    """95 % of the accuracy when chips are drawn again."""
    chips = rows["chip_id"].rank("dense").cast(pl.Int64).to_numpy()
    low, high = means({"accuracy": rows["correct"].to_numpy()}).intervals(chips, count, 0)["accuracy"]
    return low / 100, high / 100


def main() -> None:
    """Train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", default=["attention", "mosaic", "mean", "max"])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    told = parser.parse_args()
    if not (told.data / "train/2/model.safetensors").is_file():
        sys.exit(f"{told.data}/train/2 is not there; run `earthloom demo` first")
    console = Console()
    rows = []
    for kind in told.kinds:
        for seed in range(told.seeds):
            rows.append(answers(told.data, kind, seed))
            console.print(f"{kind}, seed {seed}: {rows[-1].filter(modality='ms')['correct'].mean():.3f}")
    frame = pl.concat(rows)
    table = Table(
        "fusion", "multispectral", "95 % over chips", "sd over seeds", "no image", "majority", "same in RGB", "n"
    )
    figures = []
    for kind in told.kinds:
        ms = frame.filter(fusion=kind, modality="ms")
        rgb = frame.filter(fusion=kind, modality="rgb").filter(
            pl.col("chip_id").is_in(ms["chip_id"].unique().to_list())
        )
        low, high = interval(ms)
        spread = ms.group_by("seed").agg(pl.col("correct").mean())["correct"].std() or 0.0
        figure = {
            "fusion": kind,
            "accuracy": ms["correct"].mean(),
            "low": low,
            "high": high,
            "sd": spread,
            "no_image": ms["blank_correct"].mean(),
            "majority": ms["majority_correct"].mean(),
            "rgb": rgb["correct"].mean(),
            "questions": ms.height // told.seeds,
            "chips": ms["chip_id"].n_unique(),
        }
        figures.append(figure)
        table.add_row(
            kind,
            f"{figure['accuracy']:.3f}",
            f"{low:.3f} to {high:.3f}",
            *(f"{figure[name]:.3f}" for name in ("sd", "no_image", "majority", "rgb")),
            f"{figure['questions']} on {figure['chips']} chips, {told.seeds} seeds",
        )
    console.print(table)
    if told.json:
        told.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
