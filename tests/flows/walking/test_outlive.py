"""A run whose worker is gone."""

import subprocess
import sys
from pathlib import Path

RUN = """
import logging, sys, time
from pathlib import Path
from prefect.logging import get_logger
from prefect.logging.configuration import setup_logging
from flows.walking.outlive import outlive_the_worker

if sys.argv[2] == "outlive":
    outlive_the_worker()
setup_logging()
logger = get_logger("prefect")
print("ready", flush=True)
sys.stdin.readline()  # comes once nobody reads any more
time.sleep(0.2)
for _ in range(3):
    logger.warning("a line")
Path(sys.argv[1]).write_text("done")
"""


def reaches_its_end(tmp_path: Path, word: str) -> bool:
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "end"), word],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout and process.stdin
    while process.stdout.readline() != "ready\n":
        pass
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    process.wait(60)
    return (tmp_path / "end").exists()


def test_a_run_goes_on_when_nobody_reads_what_it_prints(tmp_path: Path) -> None:
    assert reaches_its_end(tmp_path, "outlive")


def test_without_that_prefects_own_log_would_end_it(tmp_path: Path) -> None:
    assert not reaches_its_end(tmp_path, "print")
