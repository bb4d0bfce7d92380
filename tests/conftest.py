"""Fixtures that several folders of tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml and a copy of the sample catalog, made the current one."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "samples/catalog", tmp_path / "samples/catalog")
    shutil.copytree(ROOT / "samples/assets", tmp_path / "samples/assets", copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_stage(workspace: Path) -> Run:
    """Run `python -m tasks.<stage> --name value ...` in the workspace, as DVC would."""

    def run(stage: str, **options: str) -> subprocess.CompletedProcess[str]:
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        return subprocess.run(
            [sys.executable, "-m", f"tasks.{stage}", *arguments],
            cwd=workspace,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.fixture
def edit_params(workspace: Path) -> Callable[[str, str], None]:
    """Replace a piece of params.yaml; the piece must be there."""

    def edit(old: str, new: str) -> None:
        path = workspace / "params.yaml"
        text = path.read_text()
        assert old in text, f"params.yaml has no {old!r}"
        path.write_text(text.replace(old, new))

    return edit


@pytest.fixture(scope="session")
def tiny_moe_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of RS-MoE that knows a few answers by heart, made once."""
    from tests.fixtures.tiny_moe_checkpoint import write_moe_checkpoint

    return write_moe_checkpoint(tmp_path_factory.mktemp("models") / "tiny-moe")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that knows a few answers by heart, made once."""
    from tests.fixtures.tiny_checkpoint import write_checkpoint

    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))
