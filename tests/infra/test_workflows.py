"""GitHub's workflows: by their schema, and by what a stranger's pull request may do in them."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from tests.infra import checks

FILES = sorted((checks.ROOT / ".github/workflows").glob("*.yml"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in FILES}
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def read(name: str) -> dict[str, Any]:
    """A workflow, with YAML's `on` as the text that it is to GitHub."""
    workflow: dict[Any, Any] = yaml.safe_load(TEXTS[name])
    return {"on" if key is True else key: value for key, value in workflow.items()}


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in read(name)["jobs"].values() for step in job["steps"]]


def by_schema(workflow: dict[str, Any]) -> None:
    for schema in ("vendor.github-workflows", "custom.github-workflows-require-timeout"):
        found = get_builtin_schema(schema)
        jsonschema.validators.validator_for(found)(found).validate(workflow)


def test_there_is_one_for_the_tests_and_one_for_the_report() -> None:
    assert list(TEXTS) == ["ci.yml", "report.yml"]
    assert [step["run"] for step in steps("ci.yml") if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("name", TEXTS)
def test_a_workflow_is_valid(name: str) -> None:
    by_schema(read(name))


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w["jobs"]["test"].pop("timeout-minutes"),
        lambda w: w["jobs"]["test"].pop("runs-on"),
        lambda w: w["jobs"]["test"]["steps"][0].update(run="make", uses="actions/checkout@v7", wiht={}),
        lambda w: w.update(permissions={"contents": "reed"}),
        lambda w: w.update(on={"pull_requests": None}),
    ],
)
def test_an_error_that_is_planted_is_found(change: Any) -> None:
    wrong = copy.deepcopy(read("ci.yml"))
    change(wrong)
    with pytest.raises(jsonschema.ValidationError):
        by_schema(wrong)


@pytest.mark.parametrize("name", TEXTS)
def test_a_pull_request_of_a_stranger_gets_no_secret_and_no_right_to_write(name: str) -> None:
    workflow = read(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert set(workflow["on"]) <= {"push", "pull_request"}
    assert "secrets." not in TEXTS[name] and "github.token" not in TEXTS[name].lower()
    for step in steps(name):
        assert "${{" not in step.get("run", ""), "what a title or a branch says would run as a command"
        if str(step.get("uses", "")).startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", TEXTS)
def test_actions_are_pinned_by_commit_and_say_which_version_that_is(name: str) -> None:
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert used and all(PINNED.fullmatch(action) for action in used)
    assert len(re.findall(r"uses: \S+@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", TEXTS[name])) == len(used)


def test_what_they_run_is_in_the_tree_and_can_be_run() -> None:
    for name in TEXTS:
        for script in re.findall(r"\.ci/\w+", TEXTS[name]):
            assert os.access(checks.ROOT / script, os.X_OK), script
            subprocess.run(["bash", "-n", checks.ROOT / script], check=True)


DEMO = """
stages:
  score:
    cmd: cp params.yaml score.yaml
    params: [rate]
    metrics: [score.yaml]
"""


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., str]:
    """A small project of the same shape, with two commits; runs a command in it."""

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return f"{done.returncode}\n{done.stdout}{done.stderr}"

    (tmp_path / ".ci").mkdir()
    shutil.copy(checks.ROOT / ".ci/report", tmp_path / ".ci")
    (tmp_path / ".venv").symlink_to(checks.ROOT / ".venv")
    (tmp_path / "Makefile").write_text("demo:\n\t.venv/bin/dvc repro\n")
    (tmp_path / "dvc.yaml").write_text(DEMO)
    (tmp_path / ".gitignore").write_text("/.venv\n")
    run("git", "init", "--quiet")
    run(".venv/bin/dvc", "init", "--quiet")
    for rate in (1, 2):
        (tmp_path / "params.yaml").write_text(f"rate: {rate}\n")
        run("git", "add", ".")
        run("git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "--quiet", "--message", str(rate))
    return run


@pytest.mark.slow
def test_the_report_compares_what_the_two_commits_make(project: Callable[..., str], tmp_path: Path) -> None:
    said = project("bash", ".ci/report", "HEAD~1", "report.md")
    assert said.startswith("0\n"), said
    rows = [re.sub(r" +", " ", line) for line in (tmp_path / "report.md").read_text().splitlines() if "rate" in line]
    assert rows == ["| params.yaml | rate | 1 | 2 |", "| score.yaml | rate | 1 | 2 | 1 |"]
    assert project("git", "status", "--porcelain", "--untracked-files=no") == "0\n", "the checkout is as it was"


@pytest.mark.slow
def test_the_report_says_where_nothing_changed(project: Callable[..., str], tmp_path: Path) -> None:
    project("bash", ".ci/report", "HEAD", "report.md")
    assert (tmp_path / "report.md").read_text().count("None changed.") == 2


def test_the_report_refuses_to_check_out_over_changes(project: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("rate: 3\n")
    said = project("bash", ".ci/report", "HEAD~1", "report.md")
    assert said.startswith("2\n") and "not committed" in said
    assert (tmp_path / "params.yaml").read_text() == "rate: 3\n"
