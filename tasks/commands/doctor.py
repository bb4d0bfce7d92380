"""`earthloom doctor`: what is missing on this machine, and how to get it."""

import importlib.metadata
import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.table import Table

from tasks.core import log
from tasks.core.errors import EarthloomError

Finding = tuple[bool, str]
"""Whether it is as needed, and what was found or how to get it."""


def doctor() -> None:
    """Say what is missing on this machine, and how to get it; ends with 1 if something needed is."""
    checks: dict[str, Callable[[], Finding]] = {
        "Python": python,
        "Packages": packages,
        "git": lambda: program("git", "install git"),
        "STAC server": lambda: program("rustac", "run `make env`"),
        "Loopback": loopback,
        "Disk": disk,
        "Memory": memory,
        "Parameters": parameters,
        "Sample scenes": samples,
        "Accelerator": accelerator,
    }
    table = Table("check", "", "found, or how to get it", title="earthloom doctor")
    healthy = True
    for name, check in checks.items():
        good, finding = check()
        healthy &= good
        table.add_row(name, "[green]ok[/green]" if good else "[red]missing[/red]", finding)
    log.console.print(table)
    if not healthy:
        sys.exit(1)


def python() -> Finding:
    """3.11 or 3.12."""
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    return good, found if good else f"{found}; install Python 3.11 or 3.12 and run `make env PYTHON=python3.11`"


def packages(lock: Path = Path("requirements.lock")) -> Finding:
    """The locked version of every package."""
    if not lock.is_file():
        return False, f"{lock} is not there; run from the root of the project"
    wrong = []
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found.partition("+")[0] != version:
            wrong.append(f"{name} {found} instead of {version}")
    return not wrong, "as locked" if not wrong else f"{'; '.join(wrong[:5])}; run `make env`"


def program(name: str, advice: str) -> Finding:
    """A program beside this Python, or on the path."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    return found is not None, found or advice


def loopback() -> Finding:
    """A port can be opened on 127.0.0.1, as the embedded catalog needs."""
    try:
        socket.create_server(("127.0.0.1", 0)).close()
    except OSError as error:
        return False, f"no port can be opened on 127.0.0.1 ({error}); allow it in the firewall or container"
    return True, "127.0.0.1 can be served on"


def disk(needed: float = 2.0) -> Finding:
    """Room for the demo's artifacts and DVC's cache of them, GB."""
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return free >= needed, f"{free:.1f} GB free" + ("" if free >= needed else f"; free at least {needed:.0f} GB")


def memory(needed: float = 4.0) -> Finding:
    """The land mask takes 1 GB in each of the instances that run side by side, GB."""
    total = psutil.virtual_memory().total / 1e9
    return total >= needed, f"{total:.1f} GB" + ("" if total >= needed else f"; at least {needed:.0f} GB are needed")


def parameters() -> Finding:
    """params.yaml is valid."""
    from tasks.check import validate

    try:
        validate()
    except EarthloomError as error:
        return False, str(error)
    return True, "params.yaml is valid"


def samples() -> Finding:
    """The folder of the embedded catalog, if that is the one chosen."""
    from tasks.earth.catalog import selected

    try:
        name, params = selected()
    except EarthloomError as error:
        return False, str(error)
    if not params.url.startswith("embedded:"):
        return True, f"not needed: the catalog is '{name}' at {params.url}"
    folder = Path(params.url.removeprefix("embedded:")) / "catalog" / "collections"
    return folder.is_dir(), str(folder) if folder.is_dir() else f"{folder} is not there; `git checkout -- samples`"


def accelerator() -> Finding:
    """Never needed by the demo; the 4b preset wants one."""
    import torch

    if torch.cuda.is_available():
        return True, torch.cuda.get_device_name(0)
    return True, "none; the tiny and small presets run without, 4b wants a GPU with 80 GB"
