"""What a run keeps of its answers: good ones for as long as all is the same, refused ones never."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.evaluation.datasets.samples import BenchmarkImageRef, BenchmarkSample
from tasks.evaluation.runner.checkpoint_model import Checkpoint, CheckpointSettings
from tasks.evaluation.runner.imported import ImportedBenchmark
from tasks.evaluation.runner.questions import EvaluationJob
from tasks.evaluation.runner.run import run
from tasks.vlm.world import World
from tests.tasks.evaluation.leakage.sides import encoded
from tests.tasks.evaluation.runner.runs import written

QUESTION = "[hr_rgb_0.5] <image>\n Is it rural? Answer the question using a single word."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark of three images as files; the second cannot be read."""
    rng = np.random.default_rng(0)
    samples = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(rng.integers(0, 255, (3, 40, 40)).astype(np.uint8)))
        image = BenchmarkImageRef(str(path), None, "png", "[hr_rgb_0.5]", (), width=40, height=40)
        samples.append(
            BenchmarkSample(id=str(number), images=(image,), question=QUESTION, references=("yes",), answer_type="text")
        )
    return written(tmp_path, "rsvqa-lr", samples)


def test_an_image_that_was_repaired_is_asked_about_by_the_very_same_command_and_the_others_are_not(
    folder: Path, pictures_model: Path, tmp_path: Path
) -> None:
    image = tmp_path / "1.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:40])

    def rows() -> pl.DataFrame:
        model = Checkpoint(pictures_model, CheckpointSettings(slots=2, max_new_tokens=8))
        job = EvaluationJob(model, "tiny", ImportedBenchmark("rsvqa-lr", folder))
        asked.clear()
        run(job, tmp_path / "out", World(), lambda _, count: asked.append(count))
        return pl.read_parquet(tmp_path / "out/predictions.parquet")

    asked: list[int] = []
    first = rows()
    assert first["rejected"].to_list() == [None, "unreadable_image", None]
    image.write_bytes(whole)
    second = rows()
    assert asked == [2, 1], "two answers are kept, and one question is asked"
    assert second["rejected"].to_list() == [None] * 3 and second["answer"][1]
    assert second["answer"][0] == first["answer"][0] and second["answer"][2] == first["answer"][2]
