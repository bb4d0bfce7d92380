"""flows/model_commands.py: the released models, and a way back in one command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.versions.git import git
from flows.versions.host import HOME
from flows.versions.registry import assign, read
from tests.flows.model_toy import ModelToy

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> ModelToy:
    """Three models, the last of which is in service after the first."""
    toy = ModelToy.make(tmp_path_factory.mktemp("models"))
    toy.release(70)
    for number in (2, 3):
        toy.commit(f"model {number}", f"earthdial@v0.0.{number}")
    for name in ("v0.0.1", "v0.0.2", "v0.0.3"):
        known = read(toy.origin)
        assign(toy.checkout, str(toy.origin), known, known.version(name), "held")
    return toy


@pytest.fixture
def models(released: ModelToy, tmp_path: Path) -> ModelToy:
    return released.copy(tmp_path)


def earthloom(toy: ModelToy, *words: str) -> Done:
    return subprocess.run(
        [sys.executable, "-P", "-c", "import earthloom; earthloom.main()", *words],
        cwd=toy.checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT), HOME: str(toy.checkout.parent / "host"), "COLUMNS": "160"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def in_service(toy: ModelToy) -> str:
    version = read(toy.origin).in_service
    return version.name if version else ""


def test_models_lists_versions_with_scores_beside_controls_and_the_one_in_service(models: ModelToy) -> None:
    done = earthloom(models, "models")
    assert done.returncode == 0, done.stderr
    head, *rows = (line.split("\t") for line in done.stdout.splitlines())
    table = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["version"] for row in table] == ["v0.0.3", "v0.0.2", "v0.0.1"]
    assert [row["in service"].startswith("since 2") for row in table] == [True, False, False]
    assert table[0]["all"] == "0.700 / 0.250" and table[0]["ms"] == "0.700"


def test_a_score_that_is_nowhere_is_missing_with_the_reason(models: ModelToy) -> None:
    for folder in (models.remote, models.checkout / ".dvc/cache"):
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()
    done = earthloom(models, "models")
    assert done.returncode == 0 and done.stdout.count("v0.0.") == 3
    assert "scores.json is neither in the cache nor on the remote" in done.stderr


def test_a_roll_back_is_one_command_and_says_what_is_in_service(models: ModelToy) -> None:
    before = git(models.checkout, "tag", "--list")
    done = earthloom(models, "rollback", "--why", "it calls every cloud a lake")
    assert done.returncode == 0, done.stderr
    assert "In service: earthdial@v0.0.2, in place of v0.0.3" in done.stderr
    assert in_service(models) == "v0.0.2"
    assert git(models.checkout, "tag", "--list") == before, "the checkout's own tags are left alone"
    said = git(models.origin, "tag", "--list", "--format=%(contents)", "earthdial#production#*")
    assert "it calls every cloud a lake" in said
    assert earthloom(models, "rollback").returncode == 0 and in_service(models) == "v0.0.1"
    third = earthloom(models, "rollback")
    assert third.returncode == 1 and "no version was in service before" in third.stderr
    assert earthloom(models, "rollback", "--to", "v0.0.3").returncode == 0 and in_service(models) == "v0.0.3"


def test_a_roll_back_to_what_there_is_not_or_where_nothing_was_cloned_is_refused(
    models: ModelToy, tmp_path: Path
) -> None:
    done = earthloom(models, "rollback", "--to", "v7")
    assert done.returncode == 1 and "no version 'v7'" in done.stderr and "v0.0.3" in done.stderr
    git(models.checkout, "remote", "remove", "origin")
    done = earthloom(models, "models")
    assert done.returncode == 1 and "--repository URL" in done.stderr
    assert in_service(models) == "v0.0.3"


def test_the_model_in_service_comes_by_one_command_of_dvc(models: ModelToy, tmp_path: Path) -> None:
    words = [
        "artifacts",
        "get",
        str(models.checkout),
        "earthdial",
        "--stage",
        "production",
        "--out",
        str(tmp_path / "m"),
    ]
    git(models.checkout, "fetch", "--quiet", "--tags")
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m/weights.txt").read_text() == "70"
