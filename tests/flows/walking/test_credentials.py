"""Credentials of a Prefect block reach the commands of the stages that need them, and nothing that is kept."""

import logging
import sys
from pathlib import Path

import pytest
import yaml
from prefect.blocks.system import Secret

from flows.recording.graph import Instance
from flows.walking.credentials import credentials
from flows.walking.processes import Commands
from tasks.core.errors import FlowError

pytest_plugins = ["tests.flows.fixtures"]
HELD = {"SH_CLIENT_ID": "the id of a block", "SH_CLIENT_SECRET": "the secret of a block"}


@pytest.fixture
def params(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in HELD:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"catalog": "hub", "catalogs": {"hub": {"source": "sentinel-hub"}, "other": {}}}))
    return path


def block(value: object) -> None:
    Secret(value=value).save("sentinel-hub", overwrite=True)  # type: ignore[arg-type]


def test_the_block_is_asked_where_the_catalog_needs_it_and_the_environment_has_nothing(
    params: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert credentials(params) == {}
    block({"client_id": HELD["SH_CLIENT_ID"], "client_secret": HELD["SH_CLIENT_SECRET"]})
    assert credentials(params) == HELD
    for name in HELD:
        monkeypatch.setenv(name, "of the environment")
    assert credentials(params) == {}


def test_another_catalog_gets_none(params: Path) -> None:
    block({"client_id": HELD["SH_CLIENT_ID"], "client_secret": HELD["SH_CLIENT_SECRET"]})
    params.write_text(params.read_text().replace("catalog: hub", "catalog: other"))
    assert credentials(params) == {}
    assert credentials(params.parent / "none.yaml") == {}


def test_a_block_that_holds_something_else_is_named_and_not_shown(params: Path) -> None:
    block("a secret alone")
    with pytest.raises(FlowError, match="block secret/sentinel-hub does not hold") as error:
        credentials(params)
    assert "a secret alone" not in str(error.value)


def test_a_command_has_them_in_its_environment_and_no_file_or_log_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    script = tmp_path / "stage.py"
    script.write_text("import os; print(len(os.environ['SH_CLIENT_SECRET']), 'characters')")
    commands = Commands(tmp_path, HELD)
    instance = Instance("scenes", f"{sys.executable} {script}", (), (), (), (), "cpu", ())
    commands.run(instance, logging.getLogger("test"))
    assert "21 characters" in caplog.text and not any(value in caplog.text for value in HELD.values())
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path != script]
    assert not any(value in path.read_text() for path in kept for value in HELD.values())
