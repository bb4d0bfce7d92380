"""The repository that drills run on: the project with one sensor and tiny training, built and released once.

Branch `main` is built as far as the first training stage. The other branches differ from it by one number
of params.yaml each, so that a run of theirs has a few commands and all else comes by hash. Their code obeys orders.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.fixtures import checkout

BRANCHES = {
    "split": ("split:\n  seed: 6", "split:\n  seed: 8"),
    "train": ("lr: 8.0e-4", "lr: 7.0e-4"),
    "pair": ("batch: 1 # packs", "batch: 2 # packs"),
}
"""What is other than on `main`: old and new text of params.yaml."""
TARGETS = {"main": ["split", "train@1"], "split": ["split"], "train": ["train@1"], "pair": ["train@1"]}
ORDERS = """
import os as _os
import sys as _sys

if "EARTHLOOM_DRILL" in _os.environ and "DVC_STAGE" in _os.environ and _sys.argv[0] == "-m":
    import pathlib as _pathlib
    import signal as _signal
    import time as _time

    _folder, _name = _pathlib.Path(_os.environ["EARTHLOOM_DRILL"]), _os.environ["DVC_STAGE"]
    with (_folder / "ran").open("a") as _file:
        _file.write(_name + "\\n")
    if (_folder / _name).exists():
        if (_folder / _name).read_text() == "deaf":
            _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
        (_folder / (_name + ".pid")).write_text(str(_os.getpid()))
        while (_folder / _name).exists():
            _time.sleep(0.05)
"""
"""Put into the code of all commits: a command waits as long as a file of its name lies in EARTHLOOM_DRILL."""
GIT = ("git", "-c", "user.name=Author", "-c", "user.email=author@example.org")


@dataclass(frozen=True)
class Template:
    """Not to be changed: drills work on copies."""

    folder: Path
    author: Path
    """A checkout on `main`, with the objects of all branches in its cache."""

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    @property
    def store(self) -> Path:
        """A folder as DVC remote, with all that `main` names."""
        return self.folder / "store"

    def expected(self, branch: str) -> dict[str, Any]:
        """Entries of dvc.lock that `dvc repro` has written on a branch, by address."""
        return entries((self.folder / f"{branch}.lock").read_text())


def entries(lock: str) -> dict[str, Any]:
    """Entries of the text of a dvc.lock, by address."""
    stages: dict[str, Any] = yaml.safe_load(lock)["stages"]
    return stages


def make(folder: Path) -> Template:
    """Build it: some two minutes."""
    author = folder / "author"
    made = Template(folder, author)
    folder.mkdir(parents=True, exist_ok=True)
    checkout.make(author)
    obey(author)
    params = author / "params.yaml"
    params.write_text(re.sub(r"max_steps: \d+", "max_steps: 4", params.read_text()))
    _deployments(author)
    git(author, "checkout", "-q", "-b", "main")
    git(author, "add", "-A")
    git(author, "commit", "-q", "-m", "The project")
    made.store.mkdir()
    dvc(author, "remote", "add", "--local", "--default", "store", str(made.store))
    for branch, targets in TARGETS.items():
        if branch != "main":
            git(author, "checkout", "-q", "-b", branch, "main")
            checkout.edit(params, *BRANCHES[branch])
            git(author, "commit", "-q", "-am", f"Another {branch}")
        dvc(author, "repro", "-q", *targets)
        shutil.copy(author / "dvc.lock", folder / f"{branch}.lock")
        if branch == "main":
            git(author, "add", "dvc.lock")
            git(author, "commit", "-q", "-m", "Built")
            dvc(author, "push", "-q")
        else:
            git(author, "checkout", "-q", "--force", branch)
    git(author, "checkout", "-q", "main")
    subprocess.run(["git", "clone", "-q", "--bare", str(author), str(made.origin)], check=True)
    return made


def obey(root: Path) -> None:
    """Have the commands of a checkout obey orders."""
    with (root / "tasks/__init__.py").open("a") as file:
        file.write(ORDERS)


def _deployments(author: Path) -> None:
    """prefect.yaml, without what would start by itself, and silence noticed sooner."""
    values = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    for deployment in values["deployments"]:
        deployment.pop("triggers", None)
        deployment.pop("schedules", None)
    values["watch"]["lost_after"] = 180
    (author / "prefect.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def git(folder: Path, *words: str) -> str:
    """`git WORDS` in a folder; what it printed."""
    done = subprocess.run([*GIT, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {words}: {done.stderr}"
    return done.stdout.strip()


def dvc(folder: Path, *words: str) -> str:
    """`dvc WORDS` in a checkout; what it printed."""
    return checkout.run(folder, "dvc", *words)


def copy(template: Template, folder: Path) -> Template:
    """Origin and store of its own for a drill: objects are links, for nobody writes into them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Template(folder, template.author)
    shutil.copytree(template.origin, made.origin)
    shutil.copytree(template.store, made.store, copy_function=os.link)
    for lock in template.folder.glob("*.lock"):
        shutil.copy(lock, folder)
    return made
