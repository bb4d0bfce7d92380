"""One Prefect server for the session, and a fresh copy of the toy project for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED,
    get_current_settings,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

import flows  # noqa: F401  (before Prefect: sets its home)
from flows.recording.graph import InstanceOutcome
from flows.walking.walk import walk
from tests.flows import toy
from tests.flows.toy import Walker


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """URL of a real Prefect server that lives as long as the session."""
    # As for a run from a command line, see flows/command_line.py; test_deployments.py looks at task runs.
    settings = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED: False,
    }
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=180), temporary_settings(settings):
        yield str(get_current_settings().api.url)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project as it is committed."""
    return toy.make(tmp_path_factory.mktemp("toy") / "project")


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A clone of the toy project, nothing run yet."""
    return Path(shutil.copytree(template, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="session")
def reproduced(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project after `dvc repro`. Not to be changed."""
    root = Path(shutil.copytree(template, tmp_path_factory.mktemp("reproduced") / "project", symlinks=True))
    toy.repro(root)
    return root


@pytest.fixture
def done(reproduced: Path, tmp_path: Path) -> Path:
    """A project that is up to date, to go on from."""
    root = Path(shutil.copytree(reproduced, tmp_path / "done", symlinks=True))
    toy.ran(root)
    return root


@pytest.fixture
def walker(server: str) -> Walker:
    """`walk` inside a flow of the session's server."""

    @flow(name="toy")
    def toy_flow(
        workspace: Path, targets: list[str], jobs: int, force: list[str], sparse: bool
    ) -> list[InstanceOutcome]:
        return walk(workspace, targets, jobs, force=force, sparse=sparse)

    def call(
        workspace: Path, *targets: str, jobs: int = 4, force: list[str] | None = None, sparse: bool = False
    ) -> list[InstanceOutcome]:
        return toy_flow(workspace, list(targets), jobs, force or [], sparse)

    return call
