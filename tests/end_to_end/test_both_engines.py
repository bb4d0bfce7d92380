"""The real graph, from the scenes to the split, run twice from nothing, by either engine: the same lock."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

CODE = ("tasks", "models", "flows", "samples")
FILES = ("dvc.yaml", "params.yaml", "pyproject.toml", ".dvcignore", ".gitignore", ".dvc/config")


@pytest.fixture
def project(tmp_path: Path):
    """Clones of the project that work one sensor, so that the test is quick; nothing has run in them."""

    def clone(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        for part in CODE:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, root / part, ignore=ignored, copy_function=os.link)
        (root / ".dvc").mkdir()
        for part in FILES:
            shutil.copy(ROOT / part, root / part)
        params = root / "params.yaml"
        text = params.read_text()
        assert "enabled: [sentinel-2, sentinel-1, landsat]" in text
        params.write_text(text.replace("enabled: [sentinel-2, sentinel-1, landsat]", "enabled: [landsat]"))
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        return root

    return clone


def _run(root: Path, *module: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(root / ".prefect"),
        "DVC_NO_ANALYTICS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", *module], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_runs_from_nothing_by_repro_and_by_the_flow_leave_the_same_hashes(project) -> None:
    locks = []
    for module in (("dvc", "repro", "-q", "split"), ("flows.build", "--targets", "split", "--jobs", "2")):
        root = project(module[0])
        _run(root, *module)
        assert list((root / "data/chips").rglob("shard-*.parquet")), "no chip was made"
        # DVC writes entries as they are done, a flow in dvc.yaml's order: what they say must be the same.
        locks.append(yaml.safe_load((root / "dvc.lock").read_text()))
    assert locks[0] == locks[1]
