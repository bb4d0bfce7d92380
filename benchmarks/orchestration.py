"""What orchestration costs: CPU seconds to find nothing to do, and to run what takes no time, by repro and by a walk.

    python -m benchmarks.orchestration                 # a project of 203 instances, shaped like this one
    python -m benchmarks.orchestration --other CHECKOUT  # beside the walk of an older checkout
    python -m benchmarks.orchestration --server --jobs 8  # 48 instances of 10 s on a running server

CPU seconds are those of the whole command with its children, less what the stages' own commands take.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
SENSORS = [f"sensor-{letter}" for letter in "abcd"]
STAGES = {"scan": True, "labels": False, "select": False, "chips": True, "qa": True, "stats": False}
"""Stages with a matrix, and whether it is over parts too."""
LAST = 9
"""Instances after the split."""
WORK = """
import pathlib, sys, time
seconds, *outs = sys.argv[1:]
time.sleep(float(seconds))
for out in outs:
    path = pathlib.Path(out)
    path = path if path.suffix else path / "rows.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}" if path.suffix else out)
"""


@dataclass(frozen=True)
class Cost:
    """Of one command."""

    cpu: float
    """Seconds, user and system, with all children."""
    wall: float


def project(root: Path, parts: int, seconds: float) -> int:
    """Write the project and commit it; the number of its instances."""
    names = ", ".join(f"p{number:02}" for number in range(parts))
    stages = ["  code:\n    cmd: python work.py 0 data/code.json\n    deps: [work.py]\n    outs: [data/code.json]\n"]
    before = "data/code.json"
    for stage, by_part in STAGES.items():
        item = "${item.sensor}/${item.part}" if by_part else "${item.sensor}"
        matrix = '{ sensor: "${sensors}"' + (', part: "${parts}"' if by_part else "") + " }"
        metric = f"data/summary/{stage}@{item.replace('/', '-')}.json"
        stages.append(
            f"  {stage}:\n    matrix: {matrix}\n"
            f"    cmd: python work.py {seconds if by_part else 0} data/{stage}/{item} {metric}\n"
            f'    deps: [work.py, data/code.json, "{before}"]\n    params: [settings, {stage}]\n'
            f'    outs: ["data/{stage}/{item}"]\n    metrics: ["{metric}"]\n'
        )
        before = "data/" + stage + "/${item.sensor}"
    last = ", ".join(f"data/chips/{sensor}" for sensor in SENSORS)
    stages.append(
        f"  split:\n    cmd: python work.py 0 data/split\n    deps: [work.py, {last}]\n    outs: [data/split]\n"
    )
    stages.append(
        f"  train:\n    matrix: {{ run: [{', '.join(f't{number}' for number in range(LAST))}] }}\n"
        "    cmd: python work.py 0 data/train/${item.run}\n    deps: [work.py, data/split]\n"
        '    params: [settings]\n    outs: ["data/train/${item.run}"]\n'
    )
    (root / "dvc.yaml").write_text("stages:\n" + "".join(stages))
    settings = "".join(f"  key{number}: [a, b, {number}]\n" for number in range(40))
    (root / "params.yaml").write_text(
        f"catalog: bench\nsettings:\n{settings}sensors: [{', '.join(SENSORS)}]\nparts: [{names}]\n"
        + "".join(f"{stage}: {{ size: 1, limit: 0.5 }}\n" for stage in STAGES)
    )
    (root / "work.py").write_text(WORK)
    (root / ".gitignore").write_text("/data/\n.earthloom/\n")
    shutil.copy(ROOT / ".dvcignore", root)
    shell(root, "git init -q . && dvc init -q && dvc config core.analytics false && git add -A")
    shell(root, "git -c user.name=bench -c user.email=bench@example.org commit -qm project")
    return 2 + LAST + sum(len(SENSORS) * (parts if by_part else 1) for by_part in STAGES.values())


def environment() -> dict[str, str]:
    """With this environment's own programs, and the project's modules."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": programs, "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1"}


def shell(root: Path, line: str) -> None:
    """Run a shell line."""
    subprocess.run(line, shell=True, cwd=root, env=environment(), check=True, stdout=subprocess.DEVNULL)


def cost(root: Path, *command: str, variables: Mapping[str, str] | None = None) -> Cost:
    """Run a Python file, or `-m` and a module, and measure it."""
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, *command],
        cwd=root,
        env=environment() | dict(variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, wall)


def walk_here(jobs: int, targets: Sequence[str]) -> None:
    """What `earthloom flow build` does, of a project that has not this one's params.yaml."""
    from prefect import flow
    from prefect.client.schemas.objects import State

    import flows.build  # noqa: F401  what the command imports, also where this walk needs less
    from flows.command_line import call

    try:
        walking: Any = importlib.import_module("flows.walking.walk")
    except ModuleNotFoundError:
        walking = importlib.import_module("flows.walk")  # of an older checkout

    @flow(name="bench")
    def bench(dry_run: bool = False) -> State[Any]:
        found = walking.walk(Path.cwd(), targets, jobs=jobs, dry_run=dry_run)
        return found if isinstance(found, State) else walking.as_state(found)

    sys.exit(call(bench))


def walk_command(jobs: int, *options: str) -> Sequence[str]:
    """The command that walks the project it is called in."""
    return (str(Path(__file__).resolve()), "--walk", "--jobs", str(jobs), *options)


def fresh(template: Path, name: str) -> Path:
    """A copy of the project in which nothing has run."""
    return Path(shutil.copytree(template, template.parent / name, symlinks=True))


def least(times: int, root: Path, *command: str, variables: Mapping[str, str] | None = None) -> Cost:
    """The least of several runs: other work on the machine only adds to it."""
    return min((cost(root, *command, variables=variables) for _ in range(times)), key=lambda found: found.cpu)


def of_work(root: Path, count: int) -> float:
    """CPU seconds of a stage's command itself."""
    total = sum(cost(root, "work.py", "0", f"data/x{number}").cpu for number in range(count))
    shutil.rmtree(root / "data")
    return total / count


@contextmanager
def server(home: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A Prefect server on SQLite: its URL and its process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    variables = environment() | {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_PORT": port}
    command = [sys.executable, "-m", "prefect", "server", "start"]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/api"
    try:
        with httpx.Client(trust_env=False, timeout=5) as client:
            while True:
                with suppress(httpx.HTTPError):
                    client.get(f"{url}/health").raise_for_status()
                    break
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def used(process: psutil.Process) -> tuple[float, int]:
    """CPU seconds and bytes of memory of a process and its children."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family), sum(one.memory_info().rss for one in family)


def on_server(folder: Path, seconds: float, jobs: int) -> Mapping[str, float]:
    """What a rebuild with 48 instances that only wait costs on a running server."""
    root = folder / "slow"
    root.mkdir()
    project(root, 4, seconds)
    with server(folder / "prefect") as (url, process):
        time.sleep(20)  # until it idles
        variables = {"PREFECT_API_URL": url}
        cost(root, *walk_command(jobs, "--targets", "code"), variables=variables)
        before, idle = used(process)
        walked = cost(root, *walk_command(jobs, "--targets", "qa"), variables=variables)
        after, _ = used(process)
    slow = 3 * 4 * len(SENSORS)
    return {
        "instances of --seconds": slow,
        "seconds of work": slow * seconds,
        "CPU-s of walk and commands": round(walked.cpu, 1),
        "CPU-s of the server": round(after - before, 1),
        "share of the work, %": round(100 * (walked.cpu + after - before) / (slow * seconds), 2),
        "wall s over the work": round(walked.wall - slow * seconds / jobs, 1),
        "server idle, MB": round(idle / 1e6),
    }


def engines(folder: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """The first run and one that finds nothing to do: of a walk, of another checkout's walk, of `dvc repro`."""
    template = folder / "project"
    template.mkdir()
    count = project(template, options.parts, 0)
    work = of_work(template, 3)
    walks = {"walk": ROOT} | ({"walk of the other checkout": options.other.resolve()} if options.other else {})
    rows, locks = [], {}
    for name, code in walks.items():
        root, variables = fresh(template, name.replace(" ", "-")), {"PYTHONPATH": str(code)}
        first = cost(root, *walk_command(options.jobs), variables=variables)
        again = least(options.times, root, *walk_command(options.jobs), variables=variables)
        rows.append(row(name, first, again, count, work))
        locks[name] = (root / "dvc.lock").read_bytes()
    root = folder / "walk"
    if options.repro:  # each of its instances costs more than the one before
        root = fresh(template, "reproduced")
        first_repro: Cost | None = cost(root, "-m", "dvc", "repro", "-q")
        locks["dvc repro"] = (root / "dvc.lock").read_bytes()
    else:
        first_repro = None
    rows.append(row("dvc repro", first_repro, least(options.times, root, "-m", "dvc", "repro", "-q"), count, work))
    return {
        "instances": count,
        "CPU-s of a command": round(work, 3),
        "load": round(os.getloadavg()[0], 1),
        "locks equal": len(set(locks.values())) == 1,
        "lines of the lock": locks["walk"].count(b"\n"),
        "rows": rows,
    }


def row(name: str, first: Cost | None, again: Cost, count: int, work: float) -> Mapping[str, Any]:
    """What is printed of one engine."""
    over = {
        "first run, CPU-s an instance over its command": round(first.cpu / count - work, 3),
        "first run wall s": round(first.wall, 1),
    } if first else {}  # fmt: skip
    return {"engine": name, "no-op CPU-s": round(again.cpu, 2), "no-op wall s": round(again.wall, 2), **over}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=15, help="15 make 203 instances")
    parser.add_argument("--times", type=int, default=3, help="runs with nothing to do; the least is printed")
    parser.add_argument("--other", type=Path, help="a checkout, of an older commit say, whose walk is measured too")
    parser.add_argument("--repro", action="store_true", help="also the first run by `dvc repro`: many minutes for 203")
    parser.add_argument("--server", action="store_true", help="only 48 instances of --seconds, on a server")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--targets", nargs="*", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--walk", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.walk:
        walk_here(options.jobs, options.targets)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.server:
            print(json.dumps(on_server(Path(folder), options.seconds, options.jobs)))
        else:
            print(json.dumps(engines(Path(folder), options), indent=1))


if __name__ == "__main__":
    main()
