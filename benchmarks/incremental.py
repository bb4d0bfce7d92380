"""A dataset that grows: what a rebuild reads, counted on a server, and whether shards are the same whoever makes them.

A region of small made radar scenes lies behind a STAC API and a range server on loopback that counts, for each
rebuild, the scenes of which pixels are read. Each stage is a process of its own, as DVC starts it: no library remembers
what it has read.

    python -m benchmarks.incremental                  # 1,000 scenes
    python -m benchmarks.incremental --scenes 60
    python -m benchmarks.incremental --only bytes     # workers alone: 1, 2, 8 processes, and Dask with a worker killed
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.core.fan_out import DASK, WORKERS
from tasks.core.results import VARIABLE
from tests.fixtures.made_region import ROOT, SENSOR, Dataset, made_region
from tests.fixtures.stac_server import Served

STAGES = (("scenes", False), ("scan", True), ("labels", True), ("select", False), ("chips", True))


class Apart(Dataset):
    """Each stage as a process, as DVC starts it."""

    def rebuild(self) -> tuple[int, dict[str, str]]:
        start = len(self.served.asked)
        for stage, by_part in STAGES:
            for part in self.parts if by_part else (None,):
                command = [sys.executable, "-m", f"tasks.{stage}", "--sensor", SENSOR]
                command += ["--part", part] if part else []
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                done = subprocess.run(
                    command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    sys.exit(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return self.read_since(start), self.shards()


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row(what: str, read: int, goal: str, cost: float, changed: str) -> None:
    print(f"{what:44} {read:>7,} {goal:>8} {cost:>9.1f}  {changed}", flush=True)


def growth(folder: Path, scenes: int, size: int) -> None:
    """A new scene, nothing new, a withdrawn and a reprocessed one."""
    os.environ[VARIABLE] = str(folder / "cache")
    print(f"{'rebuild':44} {'read':>7} {'goal':>8} {'CPU-s':>9}  shards")
    with made_region(scenes) as (region, served):
        data = Apart(folder / "one", served, region, size, ("a", "b"))
        before: dict[str, str] = {}

        def rebuild(what: str, goal: str, dataset: Apart = data) -> None:
            nonlocal before
            start = cpu()
            read, shards = dataset.rebuild()
            kept = len(before.items() & shards.items())
            row(what, read, goal, cpu() - start, f"{len(shards)}, of which {kept} as before")
            before = shards

        rebuild(f"all of {scenes:,} scenes, first", f"{scenes:,}")
        rebuild("nothing new", "0")
        region.add(scenes, served.url)
        rebuild(f"one new scene among {scenes:,}", "1")
        region.add(scenes // 2, served.url, level=0.05)
        rebuild("one reprocessed scene", "1")
        region.withdraw(scenes // 3)
        rebuild("one withdrawn scene", "0")
        rebuild("another workspace, same scenes", "0", Apart(folder / "two", served, region, size, ("a", "b")))
    with made_region(10) as (region, served):
        data = Apart(folder / "ten", served, region, size, ("a", "b"))
        before = {}
        rebuild("ten scenes, first", "10", data)
        region.withdraw(3)
        rebuild("one removed of ten Sentinel-1 scenes", "0", data)


def same_bytes(folder: Path, scenes: int, size: int) -> None:
    """One, two and eight processes, one of them killed; and Dask over TCP, one of two workers killed."""
    title = f"shards of {scenes} scenes made by"
    print(f"\n{title:44} {'read':>7} {'':8} {'seconds':>9}  same bytes as the first")
    first: dict[str, str] = {}
    with made_region(scenes) as (region, served):

        def made(name: str, kill: str = "", **environment: str) -> None:
            nonlocal first
            os.environ |= {VARIABLE: str(folder / f"cache-{name}"), **environment}
            data = Apart(folder / name, served, region, size, ("a",))
            start = time.perf_counter()
            with killing(kill, served) if kill else nothing():
                read, shards = data.rebuild()
            first = first or shards
            same = "yes" if shards == first else "NO"
            row(name, read, "", time.perf_counter() - start, f"{same} ({len(shards)})")
            for variable in environment:
                del os.environ[variable]

        made("the stage's own process")
        for count in (1, 2, 8):
            made(f"{count} processes", **{WORKERS: str(count)})
        made("2 processes, one killed", kill="multiprocessing.spawn", **{WORKERS: "2"})
        project = folder / "the stage's own process"
        with cluster(folder, project, 2) as (address, _):
            made("Dask, 2 workers", **{DASK: address})
        with cluster(folder, project, 2) as (address, workers):
            made("Dask, 2 workers, one killed", kill=str(workers[0]), **{DASK: address})


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def killing(what: str, served: Served) -> Iterator[None]:
    """Kill a worker once some pixels have been read while the block runs: by its process id, or the first one whose
    command has these words.
    """
    import threading

    import psutil

    start, ended = len(served.asked), threading.Event()

    def running() -> Iterator[int]:
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # ended meanwhile
                if what in " ".join(process.cmdline()):
                    yield process.pid

    def wait() -> None:
        while not ended.is_set():
            if sum(asked.path.endswith(".tif") for asked in served.asked[start:]) > 40:
                victim = int(what) if what.isdigit() else next(running(), None)
                if victim is not None:
                    os.kill(victim, signal.SIGKILL)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def cluster(folder: Path, project: Path, workers: int) -> Iterator[tuple[str, list[int]]]:
    """A scheduler and workers over TCP, each a process of its own and without a nanny that would start it again."""
    place = Path(tempfile.mkdtemp(dir=folder))
    words = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": place}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    file = place / "scheduler.json"
    running = [subprocess.Popen([*words, "--no-dashboard", "--scheduler-file", str(file)], env=environment, **quiet)]
    try:
        while not file.is_file() or not file.read_text():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        for _ in range(workers):
            more = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            # Files of one's own, such as labels, lie under the folder that a worker runs in.
            own = {**quiet, "cwd": project}
            running.append(subprocess.Popen([sys.executable, *more], env=environment, **own))
        yield address, [process.pid for process in running[1:]]
    finally:
        for process in running:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--shard-size", type=int, default=100)
    parser.add_argument("--only", choices=["growth", "bytes"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="incremental-") as folder:
        if given.only != "bytes":
            growth(Path(folder), given.scenes, given.shard_size)
        if given.only != "growth":
            same_bytes(Path(folder), min(given.scenes, 40), 20)


if __name__ == "__main__":
    main()
