"""The rig of the drills: one stack of real services a session, and an origin, a store and hosts a drill."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.end_to_end.faults import template as templates
from tests.end_to_end.faults.hosts import Host
from tests.end_to_end.faults.record import Row, table
from tests.end_to_end.faults.server import Server
from tests.end_to_end.faults.template import Template
from tests.flows.services.stack import stack

ROWS = pytest.StashKey[list[Any]]()
FOLDER = "EARTHLOOM_DRILLS"
"""Variable with a folder where the built repository is kept for the next session; else it is built anew."""
TABLE = ROOT / ".earthloom" / "faults.md"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drills take an hour together: they run where they are asked for by name, `-m drill`, and in no other run."""
    if "drill" in config.getoption("markexpr"):
        return
    drills = [item for item in items if item.get_closest_marker("drill")]
    config.hook.pytest_deselected(items=drills)
    items[:] = [item for item in items if item not in drills]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    kept = os.environ.get(FOLDER)
    folder = Path(kept) if kept else tmp_path_factory.mktemp("drills") / "template"
    if (folder / "origin.git").is_dir():
        return Template(folder, folder / "author")
    shutil.rmtree(folder, ignore_errors=True)
    return templates.make(folder)


@pytest.fixture(scope="session")
def server(template: Template) -> Iterator[Server]:
    with stack() as made:
        made.call("up", "--no-workers", *made.ports)
        yield Server(made, template.author, template.origin)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """The drill's row in the table."""
    made = Row()
    yield made
    report = getattr(request.node, "drilled", None)
    made.failed = "" if report is None or report.passed else str(report.longrepr).splitlines()[-1][:300]
    request.config.stash.setdefault(ROWS, []).append(made.cells())
    shown = request.config.pluginmanager.get_plugin("terminalreporter")
    if shown:  # as it comes: all of them take an hour
        shown.write(f"\n{' | '.join(made.cells())}\n", flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.drilled = report  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash.get(ROWS, [])
    if rows and "drill" in config.getoption("markexpr"):
        TABLE.parent.mkdir(exist_ok=True)
        TABLE.write_text(table(rows))
        terminalreporter.write(f"\n{table(rows)}\nin {TABLE.relative_to(ROOT)}\n")


@pytest.fixture
def mine(template: Template, tmp_path: Path) -> Template:
    """Origin and store of this drill."""
    return templates.copy(template, tmp_path / "mine")


@pytest.fixture
def host(tmp_path: Path, server: Server, mine: Template) -> Iterator[Callable[..., Host]]:
    """`host(NAME, VARIABLE=...)`: a host whose workers run the drill's repository, on its store."""
    made: list[Host] = []

    def call(name: str, **more: str) -> Host:
        variables = {
            "PREFECT_API_URL": server.url,
            "EARTHLOOM_REPOSITORIES": str(mine.origin),
            "EARTHLOOM_REMOTE": str(mine.store),
        }
        made.append(Host(tmp_path, name, variables | more))
        return made[-1]

    yield call
    for one in made:
        one.kill()


@pytest.fixture
def since() -> float:
    return time.time()
