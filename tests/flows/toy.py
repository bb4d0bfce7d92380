"""A small DVC project with the shapes of the real one: matrices, a chain, a fan-in; it fails on request."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flows.recording.graph import InstanceOutcome

Walker = Callable[..., list[InstanceOutcome]]
"""Walks a project to targets: `walker(root, *targets, jobs=4, force=[])`."""

PARAMS = """\
catalog: toy
sensors: {enabled: [radar, red, blue]}
grid: {parts: [a, b, c]}
scenes: {radar: 1, red: 2, blue: 3}
chips: {bands: 4, rate: 1.0e-05, window: "2015-06-01/2030-01-01", none: null}
model: {width: 8}
"""

PIPELINE = """\
stages:
  check:
    cmd: python work.py model data/check.json
    deps: [work.py]
    params: [model, chips]
    outs: [data/check.json]
  scenes:
    matrix: {sensor: "${sensors.enabled}"}
    cmd: python work.py scenes.${item.sensor} data/scenes/${item.sensor}/items.txt
    deps: [work.py]
    params: ["scenes.${item.sensor}"]
    outs: ["data/scenes/${item.sensor}"]
    metrics: ["data/summary/scenes@${item.sensor}.json": {cache: false}]
  chips:
    matrix: {sensor: "${sensors.enabled}", part: "${grid.parts}"}
    cmd: python work.py chips data/chips/${item.sensor}/${item.part}/shard.txt data/scenes/${item.sensor}/items.txt
    deps: [work.py, "data/scenes/${item.sensor}"]
    params: [chips]
    outs: ["data/chips/${item.sensor}/${item.part}"]
    metrics: ["data/summary/chips@${item.sensor}-${item.part}.json": {cache: false}]
  split:
    cmd: python work.py model data/split/all.txt data/chips
    deps: [work.py, data/chips/radar, data/chips/red, data/chips/blue]
    outs: [data/split]
  train:
    matrix: {stage: ["1", "2"]}
    cmd: python work.py model data/train/${item.stage}/weights.txt data/split
    deps: [work.py, data/split]
    params: [model]
    outs: ["data/train/${item.stage}"]
"""

WORK = """\
\"\"\"work.py KEY OUT IN...: writes what it was given. Obeys the files under orders/, named as its stage instance.\"\"\"
import json, os, pathlib, sys, time
import yaml

key, out, *inputs = sys.argv[1:]
name = os.environ["DVC_STAGE"]
with open("ran.txt", "a") as ran:
    ran.write(name + "\\n")
order = pathlib.Path("orders", name)
words = order.read_text().split() if order.exists() else []
if words[:1] == ["exit"]:
    print(json.dumps({"level": "error", "message": "was told to fail"}))
    sys.exit(int(words[1]))
if words[:1] == ["once"]:
    order.unlink()
    sys.exit(int(words[1]))
if words[:1] == ["sleep"]:
    pathlib.Path("sleeping").write_text(str(os.getpid()))
    while order.exists():
        time.sleep(0.05)
value = yaml.safe_load(pathlib.Path("params.yaml").read_text())
for step in key.split("."):
    value = value[step]
text = [f"{key}: {value}"]
for path in map(pathlib.Path, inputs):
    files = sorted(p for p in path.rglob("*.txt")) if path.is_dir() else [path]
    text += [f"{p}: {p.read_text()}" for p in files]
pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(out).write_text("\\n".join(text))
if "@" in name and key != "model":
    pathlib.Path("data/summary").mkdir(parents=True, exist_ok=True)
    pathlib.Path(f"data/summary/{name}.json").write_text(json.dumps({"lines": len(text)}))
"""

PATIENCE = 400
"""Seconds after which a test gives up on an event: for a machine with ten times as much to do, never a measure."""
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def make(root: Path) -> Path:
    """Write the project and commit it."""
    root.mkdir(parents=True)
    for name, text in {"params.yaml": PARAMS, "dvc.yaml": PIPELINE, "work.py": WORK}.items():
        (root / name).write_text(text)
    (root / ".gitignore").write_text("ran.txt\norders/\nsleeping\n.earthloom/\n")
    shell(root, "git init -q -b main . && dvc init -q && dvc config core.analytics false")
    shutil.copy(Path(__file__).parents[2] / ".dvcignore", root)
    shell(root, "git add -A && git -c user.name=toy -c user.email=toy@example.org commit -qm toy")
    return root


def shell(root: Path, line: str) -> str:
    """Run a shell line in the project; its output."""
    done = subprocess.run(line, shell=True, cwd=root, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def repro(root: Path, *targets: str) -> None:
    """`dvc repro`, the other engine."""
    shell(root, f"dvc repro {' '.join(targets)}")


def start(project: Path, server: str) -> "subprocess.Popen[str]":
    """A walk of the whole project as a process of its own."""
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, str(root / "tests/flows/walk_toy.py")],
        cwd=project,
        env=ENVIRONMENT | {"PREFECT_API_URL": server, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def flip(path: Path) -> None:
    """Flip one bit, and leave size, mode and time as they were, as a failing disk does."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[0] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def an_object(folder: Path, text: str) -> Path:
    """The one object of a cache or a remote that holds `text`."""
    return next(path for path in folder.rglob("*") if path.is_file() and text in path.read_text(errors="replace"))


def wait_for(path: Path) -> str:
    """The text of a file, once there is some."""
    deadline = time.monotonic() + PATIENCE
    while not path.is_file() or not path.read_text():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.05)
    return path.read_text()


def lock(root: Path) -> bytes:
    """The bytes of dvc.lock."""
    return (root / "dvc.lock").read_bytes()


def ran(root: Path) -> list[str]:
    """Addresses whose command has run since last asked."""
    path = root / "ran.txt"
    names = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def order(root: Path, address: str, what: str) -> None:
    """What the instance is to do when it runs: `exit 1`, `once 75`, or `sleep` until this is taken back."""
    (root / "orders").mkdir(exist_ok=True)
    (root / "orders" / address).write_text(what)


def release(root: Path, address: str) -> None:
    """Take back what the instance was to do."""
    (root / "orders" / address).unlink()


def touch(root: Path, old: str, new: str) -> None:
    """Change params.yaml."""
    path = root / "params.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
