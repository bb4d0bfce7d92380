"""Fixtures that several folders of tests share."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the project's params.yaml and a copy of the sample catalog, made the current one."""
    fill_workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill_workspace(folder: Path) -> None:
    """Copy params.yaml and the sample catalog into a folder; the assets are hard links into the repository."""
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "samples/catalog", folder / "samples/catalog")
    shutil.copytree(ROOT / "samples/assets", folder / "samples/assets", copy_function=os.link)


@pytest.fixture
def run_stage(workspace: Path) -> Run:
    """Run `python -m tasks.<stage> --name value ...` in the workspace, as DVC would."""
    return partial(stage_in, workspace)


def stage_in(folder: Path, stage: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m tasks.<stage> --name value ...` in a folder, as DVC would."""
    arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
    return subprocess.run(
        [sys.executable, "-m", f"tasks.{stage}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture
def edit_params(workspace: Path) -> Callable[[str, str], None]:
    """Replace a piece of params.yaml; the piece must be there."""
    return partial(edit_params_of, workspace)


def edit_params_of(folder: Path, old: str, new: str) -> None:
    """Replace a piece of a folder's params.yaml; the piece must be there."""
    path = folder / "params.yaml"
    text = path.read_text()
    assert old in text, f"params.yaml has no {old!r}"
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="session")
def tiny_moe_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of RS-MoE that knows a few answers by heart; not to be changed."""
    from tests.fixtures.tiny_moe_checkpoint import write_moe_checkpoint

    return once(tmp_path_factory, "tiny-moe", write_moe_checkpoint)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that knows a few answers by heart; not to be changed."""
    from tests.fixtures.tiny_checkpoint import write_checkpoint

    return once(tmp_path_factory, "tiny", write_checkpoint)


def once(factory: pytest.TempPathFactory, name: str, write: Callable[[Path], Path]) -> Path:
    """A folder that one process of the test run writes, and the others wait for."""
    base = factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = root / "shared" / name
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            partial_folder = root / f"{name}.partial"
            shutil.rmtree(partial_folder, ignore_errors=True)  # of a process that was ended while it wrote
            write(partial_folder)
            folder.parent.mkdir(exist_ok=True)
            partial_folder.rename(folder)
    return folder
