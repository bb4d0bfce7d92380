"""The weights that the demo's training starts from, `samples/start/tiny`: stage 1 on training chips and crops of them.

    dvc repro mixture && python samples/start.py [--steps 8000]

Real users start from published weights; the preset `tiny` has none, and what a demo has time for does not teach it to
see. So it starts from these, made by the pipeline's own stages `mixture` and `train` with the parameters below, from
the training side of the sample scenes alone: the same conversations as the demo, those of the first edition
(`samples/demo-v1/train.parquet`), and crops of the same chips, asked about anew. Half an hour on one core.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import yaml

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "samples/start/tiny"
CARRIED = ("tokenizer", "stats", "chips", "labels", "split", "qa")
FIRST_EDITION = ROOT / "samples/demo-v1"
REPEATS = 4
"""Times that an epoch sees each conversation, beside each of the crops' once."""
OPTICAL = {"sentinel-2": REPEATS, "landsat": REPEATS}
KINDS = (
    "presence", "absence", "scene-class", "multi-label", "list", "share", "comparison", "position", "change",
    "change-position",
)  # fmt: skip


def recipe(steps: int) -> dict[str, Any]:
    """Sections of params.yaml and what of them is changed."""
    crops = {"per_chip": 16, "least": 16, "pairs": 8, "kinds": list(KINDS), "short_answers": 0.9, "seed": 1}
    return {
        "model": {"start": {}},
        "mixture.stage1": {
            "weights": {"rgb": OPTICAL, "ms": OPTICAL, "sar": {"sentinel-1": REPEATS}},
            "crops": crops,
        },
        "train.common": {
            "max_length": 1536, "max_groups": 192, "window": 512, "eval_every": 1000, "eval_samples": 128,
            "eval_answers": 0, "checkpoint_every": 500, "log_every": 100,
        },
        "train.stage1": {"vision_lr": 1.0, "lr": 2.0e-3, "epochs": 1000, "max_steps": steps},
    }  # fmt: skip


def first_edition(mixture: Path) -> pl.DataFrame:
    """The first edition's training questions about chips that are training chips today, as rows of a mixture."""
    today = mixture.select(pl.col("images").explode().struct.field("*")).unique("chip_id")
    shards = dict(today.select("chip_id", "shard").iter_rows())
    rows = pl.read_parquet(FIRST_EDITION / "train.parquet").filter(pl.col("chip_id").is_in(list(shards)))
    image = pl.element().struct.with_fields(
        pl.element().struct.field("chip_id").replace_strict(shards).alias("shard"),
        pl.lit(None, mixture.schema["images"].inner.fields[-1].dtype).alias("crop"),
    )
    return rows.with_columns(
        pl.concat_str(pl.lit("demo-v1/"), "sample_id").alias("sample_id"),
        pl.col("images").list.eval(image),
        pl.lit(REPEATS, pl.Int32).alias("repeats"),
    ).select(mixture.columns)


def data_version() -> dict[str, str]:
    """What dvc.lock knew of the data: output -> its hash."""
    stages = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    outs = [out for stage in stages.values() for out in stage.get("outs", ())]
    return {out["path"]: out["md5"] for out in outs if out["path"].split("/")[1] in CARRIED}


def run(module: str, folder: Path) -> None:
    """Stage 1 of one of the pipeline's stages, in a folder of its own."""
    command = [sys.executable, "-m", module, "--stage", "1"]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=True)


def main() -> None:
    """Mix, train, copy what a stage starts from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=7500)
    options = parser.parse_args()
    changed = recipe(options.steps)
    with tempfile.TemporaryDirectory(prefix="start-") as temporary:
        folder = Path(temporary)
        (folder / "data").mkdir()
        for name in CARRIED:
            (folder / "data" / name).symlink_to(ROOT / "data" / name)
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        for section, values in changed.items():
            place = params
            for key in section.split("."):
                place = place[key]
            place.update(values)
        (folder / "params.yaml").write_text(json.dumps(params))  # which is YAML too
        run("tasks.mixture", folder)
        table = folder / "data/mixture/1/train.parquet"
        mixture = pl.read_parquet(table)
        pl.concat([mixture, first_edition(mixture)]).write_parquet(table, compression="zstd")
        run("tasks.train", folder)
        shutil.rmtree(OUT, ignore_errors=True)
        shutil.copytree(folder / "data/train/1", OUT, ignore=shutil.ignore_patterns("rejected.parquet"))
    record = {"steps": options.steps, "parameters": changed, "data": data_version()}
    (OUT / "start.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
