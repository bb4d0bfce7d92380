"""Training and evaluation on a finished demo's data, in a folder of their own: what benchmarks of quality share."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tasks.evaluation.metrics.bootstrap import means
from tasks.evaluation.names import RELEASED
from tasks.vlm.controls import CONTROLS

BLIND = next(control for control in CONTROLS.values() if control.images == "none")
"""What a recipe or a fusion is held against."""
CARRIED = ("tokenizer", "stats", "chips", "split", "labels", "qa", "blind")
ROOT = Path(__file__).resolve().parents[1]
Values = dict[str, Any]


def need(data: Path, artifact: str) -> None:
    """End the program where the demo has not left an artifact."""
    if not (data / artifact).exists():
        sys.exit(f"{data / artifact} is not there; run `earthloom demo` first, and name its folder with --data")


def trained_and_asked(
    data: Path, stages: Sequence[str], change: Callable[[Values], None], prepare: Callable[[Path], None]
) -> tuple[pl.DataFrame, float]:
    """Marked answers to the questions of stage 3's test mixture, and the last validation loss.

    Args:
        data: `data/` of a finished demo, beside its params.yaml; it is not written to.
        stages: of training to run; those before must be put in place by `prepare`.
        change: edits the parameters in place.
        prepare: puts what else is needed into the new `data` folder.
    """
    with tempfile.TemporaryDirectory(prefix="on-demo-") as temporary:
        folder = Path(temporary)
        (folder / "data/train").mkdir(parents=True)
        for name in CARRIED:
            (folder / "data" / name).symlink_to((data / name).resolve())
        (folder / "samples").symlink_to(ROOT / "samples")  # what stage 1 starts from
        prepare(folder / "data")
        params = yaml.safe_load((data.parent / "params.yaml").read_text())
        change(params)
        params["evaluate"]["frozen"] = None  # the frozen set is the product's to ask, not each recipe's
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for module in (
            *(("tasks.train", "--stage", stage) for stage in stages),
            ("tasks.guesses",),
            ("tasks.evaluate", "--model", RELEASED),
        ):
            done = subprocess.run(
                [sys.executable, "-m", *module],
                cwd=folder,
                env={"PYTHONPATH": str(ROOT), "PATH": ""},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(f"{' '.join(module)} failed\n{done.stderr[-2000:]}")
        losses = pl.read_csv(folder / f"data/train/{stages[-1]}/log.csv")["val_loss"].drop_nulls()
        return pl.read_parquet(folder / f"data/evaluate/{RELEASED}/predictions.parquet"), float(losses[-1])


def interval(rows: pl.DataFrame, count: int = 2000) -> tuple[float, float]:
    """95 % of the accuracy when chips are drawn again."""
    chips = rows["image_id"].rank("dense").cast(pl.Int64).to_numpy()
    low, high = means({"accuracy": rows["correct"].to_numpy()}).intervals(chips, count, 0)["accuracy"]
    return low / 100, high / 100
