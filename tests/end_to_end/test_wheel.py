"""Earthloom as an application: its wheel, installed into an environment of its own, away from any checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from tests.fixtures.serving import started

ROOT = Path(__file__).resolve().parents[2]
OURS = ("earthloom", "flows", "tasks", "models")
LEFT_OUT = ("build", "tests", "docs", "samples", "data", "*.egg-info", "__pycache__", ".*")


@pytest.fixture(scope="module")
def earthloom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and the packages of this one behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*LEFT_OUT))
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(folder)]
    subprocess.run([*build, str(sources)], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(sources)
    own = folder / "environment"
    venv.create(own, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(own)}))
    target = ["--python", str(own / "bin" / "python")]
    subprocess.run(
        [sys.executable, "-m", "pip", *target, "install", "--no-deps", "--no-index", "--quiet", str(wheel)],
        check=True,
        timeout=300,
    )
    # A line of a .pth file adds a folder to the path, but what the .pth files in that folder say is not done: the
    # checkout, which stands in one of them, is not to be found.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return own / "bin" / "earthloom"


def away() -> dict[str, str]:
    """This environment, without what would lead into the checkout."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(command: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command in a folder with nothing in it."""
    return subprocess.run(
        [command, *words], cwd=folder, env=away(), capture_output=True, text=True, timeout=300, check=False
    )


def test_no_installed_package_claims_a_name_of_ours() -> None:
    owners = metadata.packages_distributions()
    claimed = {name: set(owners.get(name, ())) - {"earthloom"} for name in OURS}
    assert not any(claimed.values()), claimed


@pytest.mark.slow
def test_the_wheel_works_away_from_a_checkout(earthloom: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    where = "import tasks, flows, models; print(tasks.__file__, flows.__file__, models.__file__)"
    found = run(earthloom.with_name("python"), "-c", where, folder=tmp_path).stdout
    assert str(ROOT) not in found and found.count("site-packages") == 3
    listed = run(earthloom, "bench", "list", folder=tmp_path)
    assert listed.returncode == 0 and "67 benchmarks" in listed.stdout
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"id": "1", "question": "Is there water?", "answer": "yes", "annotation": "yes"}\n')
    assert run(earthloom, "score", str(answers), "--task", "vqa", folder=tmp_path).returncode == 0
    for words in (("demo",), ("check",), ("status",)):
        refused = run(earthloom, *words, folder=tmp_path)
        assert refused.returncode in (1, 2) and "Traceback" not in refused.stderr and "error: " in refused.stderr
    with started([earthloom], tiny_checkpoint, [], away()) as address:
        assert "<title>" in httpx.get(address, trust_env=False).text
