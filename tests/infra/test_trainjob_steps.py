"""The steps around a training job over several nodes, run for real on a small project with a folder as its remote."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra import checks

FOLDER = checks.INFRA / "kubernetes"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
BEFORE = ("code", "chips", "stats", "tokenizer")
DVC = "stages:\n" + "".join(f"  {name}: {{cmd: echo {name} > {name}.txt, outs: [{name}.txt]}}\n" for name in BEFORE)
DVC += """
  mixture:
    matrix: { stage: ["1"] }
    cmd: echo ${item.stage} > mixture-${item.stage}.txt
    deps: [chips.txt]
    outs: ["mixture-${item.stage}.txt"]
  train:
    foreach: { "1": {} }
    do:
      cmd: cat mixture-${key}.txt tokenizer.txt > model-${key}.txt; echo trained >> "$COUNT"
      deps: ["mixture-${key}.txt", tokenizer.txt]
      outs: ["model-${key}.txt"]
"""


def prepare(**changed: str) -> subprocess.CompletedProcess[str]:
    """The first step of a training job, with a good environment but for what is changed."""
    url = "https://git.invalid/team/earthloom.git"
    good = {"REPOSITORY": url, "EARTHLOOM_REPOSITORIES": url, "REVISION": "a" * 40, "STAGE": "1", "WORKSPACE": "one"}
    variables = good | {"EARTHLOOM_REMOTE": "s3://bucket/dvc", "EARTHLOOM_HOME": "/nonexistent"} | changed
    return subprocess.run(
        ["/bin/sh", FOLDER / "prepare.sh"],
        env={"PATH": os.environ["PATH"]} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"REVISION": "main"}, "is no commit"),
        ({"REVISION": "a" * 39}, "is no commit"),
        ({"STAGE": "1; touch x"}, "is not 1, 2 or 3"),
        ({"WORKSPACE": "../../other"}, "has more than small letters"),
        ({"REPOSITORY": "https://elsewhere.invalid/x.git"}, "is not among EARTHLOOM_REPOSITORIES"),
        ({"EARTHLOOM_REPOSITORIES": "a,b", "REPOSITORY": "a,b"}, "has a comma"),
        ({"EARTHLOOM_REMOTE": ""}, "EARTHLOOM_REMOTE"),
    ],
)
def test_a_training_job_that_asks_for_something_else_is_refused(changed: dict[str, str], reason: str) -> None:
    done = prepare(**changed)
    assert done.returncode == 2 and reason in done.stderr


@pytest.mark.slow
def test_what_was_trained_by_the_steps_is_restored_elsewhere_without_training(tmp_path: Path) -> None:
    origin, remote, home, count = (tmp_path / name for name in ("origin", "remote", "home", "count"))
    environment = {
        "PATH": PATH,
        "HOME": str(tmp_path),
        "COUNT": str(count),
        "EARTHLOOM_HOME": str(home),
        "EARTHLOOM_REPOSITORIES": f"https://git.invalid/other.git,{origin}",
        "EARTHLOOM_REMOTE": str(remote),
        "REPOSITORY": str(origin),
        "STAGE": "1",
        "WORKSPACE": "train-1",
    }

    def run(where: Path, *command: str | Path) -> str:
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    origin.mkdir()
    (origin / "dvc.yaml").write_text(DVC)
    run(origin, "git", "init", "--quiet")
    run(origin, "dvc", "init", "--quiet")
    run(origin, "dvc", "remote", "add", "--local", "--default", "here", str(remote))
    run(origin, "dvc", "repro", "mixture", *BEFORE)
    run(origin, "dvc", "push", "mixture", *BEFORE)
    run(origin, "git", "add", ".")
    run(origin, "git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message", "one")
    environment["REVISION"] = run(origin, "git", "rev-parse", "HEAD")

    run(tmp_path, "/bin/sh", FOLDER / "prepare.sh")
    workspace = home / "trainjobs/train-1"
    assert (workspace / "mixture-1.txt").read_text() == "1\n"
    run(tmp_path, "/bin/sh", FOLDER / "prepare.sh")  # as after a restart
    shutil.copy(workspace / "mixture-1.txt", workspace / "model-1.txt")
    with (workspace / "model-1.txt").open("a") as model:
        model.write("tokenizer\n")  # stands for what torchrun writes
    run(tmp_path, "/bin/sh", FOLDER / "record.sh")

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(origin), str(clone))
    run(clone, "dvc", "remote", "add", "--local", "--default", "here", str(remote))
    run(clone, "dvc", "repro", "--pull", "--single-item", "train@1")
    assert (clone / "model-1.txt").read_text() == "1\ntokenizer\n" and not count.exists(), "nothing was trained again"
