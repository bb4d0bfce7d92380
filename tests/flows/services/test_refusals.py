"""What `earthloom up` refuses before anything runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.services.daemon import marked
from tests.flows.services.stack import Stack, skip_without_programs


def _docker_works() -> bool:
    program = shutil.which("docker")
    return program is not None and subprocess.run([program, "info"], capture_output=True).returncode == 0


@pytest.mark.skipif(_docker_works(), reason="here they would be started")
def test_containers_without_a_docker_daemon_are_refused_in_a_sentence(tmp_path: Path) -> None:
    said = Stack(tmp_path).call("up", "--containers", fails=True).stderr
    assert "--containers: docker" in said and "Traceback" not in said


def test_an_option_that_containers_have_elsewhere_is_named(tmp_path: Path) -> None:
    said = Stack(tmp_path).call("up", "--containers", "--port", "4300", fails=True).stderr
    assert "--port" in said and "infra/compose.yaml" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root steps down")
@pytest.mark.parametrize(
    ("user", "named"), [("postgres", "may not enter"), ("root", "does not run as root"), ("nobody-here", "nobody-here")]
)
def test_a_folder_or_user_that_postgresql_cannot_have_is_refused(tmp_path: Path, user: str, named: str) -> None:
    skip_without_programs()
    tmp_path.chmod(0o700)
    stack = Stack(tmp_path)
    said = stack.call("up", "--database-user", user, *stack.ports, fails=True).stderr
    assert named in " ".join(said.split()) and marked(stack.services) == []


def test_down_where_nothing_ever_ran_says_so(tmp_path: Path) -> None:
    assert "Nothing was running" in Stack(tmp_path).call("down").stderr
