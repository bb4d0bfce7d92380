"""The form of the log: plain lines in a pipe, JSON where it is asked for, no chatter of libraries."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import logging
from tasks.core import log
log.setup()
logging.getLogger("rasterio._env").warning("503 - http://127.0.0.1:4711/a.tif?sig=abc. Retrying")
logging.getLogger("stac_io.store").info("get_format")
logging.getLogger("tasks.chips").info("64 windows")
logging.getLogger("tasks.chips").warning("quarantined", extra={"task_run_name": "chips@landsat-a"})
"""


def lines(form: str | None) -> list[str]:
    asked = {} if form is None else {"EARTHLOOM_LOG": form}
    environment = {name: value for name, value in os.environ.items() if name != "EARTHLOOM_LOG"} | asked
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


def test_what_a_library_logs_is_shown_without_signature_and_port() -> None:
    assert lines(None)[0].split(" ", 1)[1] == "WARNING 503 - http://127.0.0.1/a.tif Retrying"


def test_in_a_pipe_lines_are_plain_and_name_the_instance_and_the_level_that_matters() -> None:
    _, first, second = lines(None)
    assert first.split(" ", 1)[1] == "64 windows"
    assert second.split(" ", 1)[1] == "WARNING chips@landsat-a: quarantined"


def test_json_is_written_where_it_is_asked_for() -> None:
    rows = [json.loads(line) for line in lines("json")]
    assert [row["message"] for row in rows][1:] == ["64 windows", "quarantined"]
    assert rows[2]["task_run_name"] == "chips@landsat-a" and rows[2]["level"] == "warning"


@pytest.mark.parametrize("form", [None, "json"])
def test_the_chatter_of_libraries_is_left_out(form: str | None) -> None:
    assert not [line for line in lines(form) if "get_format" in line]
