"""Jobs over real processes, and over a real Dask scheduler and workers on loopback: one killed, one poisoned, one of
another version, none at all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tasks.core import dask_engine
from tasks.core.errors import ClusterError, ParamsError
from tasks.core.fan_out import DASK, WORKERS, fan_out
from tasks.core.results import VARIABLE
from tests.conftest import ROOT
from tests.fixtures.made_jobs import MadeWork, begun, jobs, said

TEXTS = [f"scene {number}" for number in range(12)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "marks").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    return tmp_path / "marks"


@pytest.mark.parametrize("workers", ["0", "1", "3"])
def test_results_come_in_the_order_of_the_jobs_and_once(
    workers: str, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, workers)
    asked = jobs(*TEXTS[:5], "lose it", "hungry one", "partial one")
    wanted = [*TEXTS[:5], "unreadable", "out-of-memory", "partial one"]
    for _ in range(2):
        assert said(fan_out(MadeWork(str(marks)), asked, tmp_path / "own")) == wanted
    assert [begun(marks, text) for text in TEXTS[:5]] == [1] * 5
    # A failure is not kept; what could be read in part is, but for this run alone.
    assert begun(marks, "lose it") == 2 and begun(marks, "hungry one") == 2
    assert not [path for path in (tmp_path / "cache").rglob("result.txt") if "partial" in path.read_text()]


def test_a_scene_that_takes_its_process_with_it_costs_itself_alone(
    marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, "2")
    texts = [*TEXTS[:3], "kill it", *TEXTS[3:6]]
    found = said(fan_out(MadeWork(str(marks)), jobs(*texts), tmp_path / "own"))
    assert found == [*TEXTS[:3], "worker-lost", *TEXTS[3:6]]
    assert begun(marks, "kill it") == 4, "once with others, then three times alone"


def test_a_number_of_processes_that_is_none_is_refused_by_its_name(
    marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS, "many")
    with pytest.raises(ParamsError, match="EARTHLOOM_WORKERS is 'many'"):
        list(fan_out(MadeWork(str(marks)), jobs("scene"), tmp_path / "own"))


class Cluster:
    """A scheduler and its workers, processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = ""

    def start(self, **environment: str) -> None:
        port = self.folder / "scheduler.json"
        self._run(
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            str(port),
            **environment,
        )
        while not self.address:
            assert self.processes[0].poll() is None
            try:
                self.address = json.loads(port.read_text())["address"]
            except (OSError, ValueError):
                time.sleep(0.02)

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        words = ["worker", self.address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        return self._run(*words, "--local-directory", str(self.folder), **environment)

    def _run(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        with (self.folder / f"{words[0]}-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=variables, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()


@contextmanager
def cluster(folder: Path, **environment: str) -> Iterator[Cluster]:
    folder.mkdir()
    found = Cluster(folder)
    try:
        found.start(**environment)
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("shared", [True, False], ids=["shared cache", "no shared cache"])
def test_a_dask_worker_that_is_killed_loses_nothing(
    shared: bool, marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster(tmp_path / "dask") as dask:
        monkeypatch.setenv(DASK, dask.address)
        if not shared:  # as a worker of another machine has it
            monkeypatch.setattr(dask_engine, "_marked", lambda _: nullcontext(dask_engine.Mark("/nowhere", "")))
        dask.worker()
        dask.worker()
        results = fan_out(MadeWork(str(marks)), jobs(*TEXTS[:2], "wait here", *TEXTS[2:]), tmp_path / "own")
        found = [next(results), next(results)]
        while not begun(marks, "wait here"):
            time.sleep(0.01)
        busy = int(next(marks.glob("wait-here.*")).name.split(".")[1])
        os.kill(busy, signal.SIGKILL)
        (marks / "go-on").touch()
        assert said([*found, *results]) == [*TEXTS[:2], "wait here", *TEXTS[2:]]
        assert begun(marks, "wait here") == 2


def test_a_poisoned_scene_costs_itself_on_a_cluster_too(
    marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}  # Dask's own is three workers more
    with cluster(tmp_path / "dask", **once) as dask:
        monkeypatch.setenv(DASK, dask.address)
        dask.worker()
        found = said(fan_out(MadeWork(str(marks)), jobs(TEXTS[0], "kill it", *TEXTS[1:3]), tmp_path / "own"))
        assert found == [TEXTS[0], "worker-lost", *TEXTS[1:3]]


def test_workers_of_other_code_and_addresses_where_nobody_answers_are_refused_by_name(
    marks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.core.dask_engine.PATIENCE", 2.0)
    for wrong in ("nonsense", "tcp://", "127.0.0.1:8786", "http://127.0.0.1:8786"):
        monkeypatch.setenv(DASK, wrong)
        with pytest.raises(
            ParamsError, match=rf"EARTHLOOM_DASK is '{wrong}': it must be a scheduler's tcp://HOST:PORT"
        ):
            list(fan_out(MadeWork(str(marks)), jobs("scene"), tmp_path / "own"))
    monkeypatch.setenv(DASK, "tcp://127.0.0.1:9")
    with pytest.raises(ClusterError, match=r"EARTHLOOM_DASK=tcp://127\.0\.0\.1:9: no Dask scheduler answers there"):
        list(fan_out(MadeWork(str(marks)), jobs("scene"), tmp_path / "own"))
    with cluster(tmp_path / "dask") as dask:
        monkeypatch.setenv(DASK, dask.address)
        with pytest.raises(ClusterError, match="no worker has come"):
            list(fan_out(MadeWork(str(marks)), jobs("scene"), tmp_path / "own"))
        monkeypatch.setattr("tasks.core.dask_engine.PATIENCE", 30.0)
        other = tmp_path / "other"
        for name in ("tasks", "models", "tests"):
            (other / name).parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-r", str(ROOT / name), str(other / name)], check=True)
        (other / "requirements.lock").write_bytes((ROOT / "requirements.lock").read_bytes())
        changed = other / "tests/fixtures/made_jobs.py"
        changed.write_text(changed.read_text() + "\nOTHER = 1\n")
        dask.worker(PYTHONPATH=str(other))
        with pytest.raises(ClusterError, match=r"1 of its workers would leave other results: tcp://.*other code"):
            list(fan_out(MadeWork(str(marks)), jobs("scene"), tmp_path / "own"))
        assert not begun(marks, "scene")
