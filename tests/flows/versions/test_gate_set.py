"""A model in service is asked the questions of another version, by the project's own runner."""

import logging
import shutil
from contextlib import chdir, closing
from pathlib import Path

import polars as pl
import pytest
from dvc.repo import Repo

from flows.versions.gate_set import PREDICTIONS, GateSet, LockedModel
from flows.versions.git import git
from flows.versions.registry import Version, read
from tasks import mixture, stats
from tasks.core.errors import FlowError
from tasks.evaluation.metrics.predictions import read as read_predictions
from tests.fixtures.small_dataset import write_dataset, write_params
from tests.flows.model_toy import ModelToy

PIPELINE = """\
stages:
  mixture:
    cmd: "true"
    outs: [data/mixture/3, data/chips/sentinel-1/a, data/chips/sentinel-1/b]
  train:
    cmd: "true"
    outs: [data/train/3]
"""


@pytest.fixture
def versions(tmp_path: Path, tiny_checkpoint: Path) -> tuple[Path, Version, Version]:
    """A checkout with two versions: the same model on two data sets."""
    toy = ModelToy.make(tmp_path)
    root = toy.checkout
    (root / "earthloom.py").unlink()  # the project's own is asked
    (root / "dvc.yaml").write_text(PIPELINE)
    shutil.copytree(tiny_checkpoint, root / "data/train/3")
    for number in (1, 2):
        with chdir(root):
            for folder in ("data/chips", "data/mixture"):
                shutil.rmtree(folder, ignore_errors=True)
            write_dataset(root, 16, ("sentinel-1",), seed=number)
            stats.run("sentinel-1")
            mixture.run("3")
            write_params(root, ["sentinel-1"], evaluate={"controls": ["no-image"], "max_new_tokens": 4, "batch": 4})
            with Repo(str(root)) as repo:
                repo.commit(force=True)
        toy.commit(f"version {number}", f"earthdial@v0.0.{number}")
    known = read(root)
    return root, known.version("v0.0.1"), known.version("v0.0.2")


def test_the_questions_of_one_version_are_put_to_the_model_of_another(
    versions: tuple[Path, Version, Version], tmp_path: Path
) -> None:
    root, old, new = versions
    asked = pl.read_parquet(root / "data/mixture/3/test.parquet")
    shutil.rmtree(root / "data")  # what is needed comes by hash
    in_service, candidate = (LockedModel.read(root, version) for version in (old, new))
    with closing(GateSet(root, tmp_path / "scratch")) as files:
        path = files.answers(candidate, in_service, logging.getLogger(__name__))
        found = read_predictions(path, "vqa")
        assert set(found.frame["image_id"]) == set(asked["chip_id"])
        assert "no_image_answer" in found.frame.columns and set(found.frame["modality"]) == {"sar"}
        assert not (root / "data").exists(), "nothing is written among the outputs"
        assert (tmp_path / "scratch").as_posix() not in path.with_name("run.json").read_text()
        named = {shard for images in asked["images"].to_list() for shard in (image["shard"] for image in images)}
        fetched = {file.relative_to(tmp_path / "scratch/asked").as_posix() for file in path.parents[4].rglob("shard-*")}
        assert {name for name in fetched if name in named} == named == fetched
        with pytest.raises(FlowError, match="has no data/evaluate/earthdial/predictions"):
            files.bring(candidate, PREDICTIONS, "x")


def test_a_damaged_object_is_not_believed(versions: tuple[Path, Version, Version], tmp_path: Path) -> None:
    root, _, new = versions
    model = LockedModel.read(root, new)
    for path in (root / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    with (
        closing(GateSet(root, tmp_path / "scratch")) as files,
        pytest.raises(FlowError, match=r"earthdial@v0\.0\.2 cannot be judged: data/train/3"),
    ):
        files.bring(model, "data/train/3", "x")
    assert git(root, "status", "--porcelain") == ""
