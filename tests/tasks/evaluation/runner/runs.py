"""Benchmarks of a few small files, imported; a checkpoint that knows their sensors; the command on them."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import polars as pl

from tasks.core import tables
from tasks.evaluation.datasets import importer, registry
from tasks.evaluation.datasets.images import decode, format_of
from tasks.evaluation.datasets.samples import SCHEMA, BenchmarkImageRef, BenchmarkSample
from tests.conftest import ROOT
from tests.fixtures.tiny_checkpoint import TAUGHT, write_checkpoint
from tests.tasks.evaluation.datasets.files import picture, write_json

TAUGHT_PICTURES = (
    *TAUGHT,
    ("[hr_rgb_0.5] <image>\n Is it rural? Answer the question using a single word.", "yes"),
    ("[hr_rgb_0.5] <image>\n How many roads are there? Answer the question using a single word.", "12"),
    ("[hr_rgb_0.5] <image>\n What is seen? Answer the question using a single word.", "a wide river and a bridge over"),
    ("[caption] [hr_rgb_0.5] <image>\nSay much.", "ab ab ab ab ab ab ab ab ab ab ab ab"),
)


def pictures_checkpoint(folder: Path) -> Path:
    """The tiny checkpoint, with statistics of 8-bit pictures besides."""
    write_checkpoint(folder, TAUGHT_PICTURES, steps=60)
    path = folder / "normalisation.json"
    values = json.loads(path.read_text())
    values["hr-rgb8"] = {band: [128.0, 70.0] for band in "RGB"}
    path.write_text(json.dumps(values))
    return folder


def rsvqa(root: Path, images: int = 6, each: int = 4) -> Path:
    """RSVQA-LR of a few images, as its owner publishes it, imported to `root`."""
    drawn = random.Random(0)
    files = root / "rsvqa-lr"
    asked, answers, shown = [], [], []
    for image in range(images):
        picture(files / f"Images_LR/{image}.tif", seed=image, size=(40 + image, 48))
        shown.append({"id": image, "questions_ids": [image * each + n for n in range(each)], "active": True})
        for number in range(image * each, (image + 1) * each):
            words = " ".join(
                drawn.choices(["rural", "roads", "a river", "the bridge", "water"], k=drawn.randrange(1, 7))
            )
            text, answer = drawn.choice([(f"Is it {words}?", "yes"), (f"How many {words} are there?", "3")])
            kind = "presence" if answer == "yes" else "count"
            entry = {"id": number, "img_id": image, "type": kind, "question": text, "answers_ids": [number]}
            asked.append({**entry, "active": True})
            answers.append({"id": number, "question_id": number, "answer": answer, "active": True})
    for name, content in (("images", shown), ("questions", asked), ("answers", answers)):
        write_json(files / f"LR_split_test_{name}.json", {name: content})
    return take_over("rsvqa-lr", files, root)


def take_over(name: str, files: Path, root: Path) -> Path:
    """Import a benchmark to where runs look for it."""
    folder = root / "imported" / name
    importer.run(registry.get(name), files, folder)
    return folder


def command(root: Path, out: Path, *words: str) -> list[str]:
    """`earthloom evaluate ...`, to be run."""
    where = ["--root", str(root), "--out", str(out), "--threads", "1", "--max-new-tokens", "24"]
    return ["earthloom", "evaluate", *words, *where]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1", **more}


def evaluated(root: Path, out: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """The command, run to its end."""
    line = [sys.executable, "-m", *command(root, out, *words)]
    return subprocess.run(line, env=environment(**more), capture_output=True, text=True, timeout=280, check=False)


def predictions(out: Path, model: str, benchmark: str) -> pl.DataFrame:
    return pl.read_parquet(out / model / benchmark / "predictions.parquet")


def record_of(out: Path, model: str, benchmark: str) -> dict:
    return json.loads((out / model / benchmark / "run.json").read_text())


def written(root: Path, name: str, samples: list[BenchmarkSample]) -> Path:
    """An imported benchmark of the given samples."""
    folder = root / "imported" / name
    row = registry.get(name)
    full = [dataclasses.replace(sample, benchmark=name, split=row.split, task=row.task) for sample in samples]
    tables.write_rows([sample.row() for sample in full], SCHEMA, folder / "samples.parquet")
    record = {"source": "owner", "comparable": False, "digest": "0", "samples": len(samples), "rejected": {}}
    write_json(folder / "import.json", record)
    return folder


def image_of(data: bytes, sensor: str, bands: tuple[str, ...] = ()) -> BenchmarkImageRef:
    """A reference that holds an image, as an import completes it."""
    pixels = decode(BenchmarkImageRef(data=data))
    height, width = pixels.shape[-2:]
    return BenchmarkImageRef("", data, format_of(data[:8]), sensor, bands, width=width, height=height)
