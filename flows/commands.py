"""The subcommands of `earthloom` that walk the graph: demo, run, flow and status."""

import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tasks.commands.check import check
from tasks.commands.report import report
from tasks.core import log
from tasks.core.errors import EarthloomError, FlowError


def demo() -> None:
    """Run the whole pipeline on the embedded sample scenes and print where the report lies.

    A second run does nothing: DVC sees that nothing has changed. Independent instances run side by side, by the
    same flow that `earthloom flow` runs; `dvc repro` gives the same result one after the other.
    """
    if _is_fresh():
        log.console.print("Nothing has changed since the last run.")
    else:
        check()
        flow("build")
    report()


def run(stage: str, *, force: bool = False) -> None:
    """Run one stage and all that it needs, as `dvc repro STAGE` does.

    Parameters
    ----------
    stage
        Name of a stage (`chips`) or of one instance (`chips@landsat-a`); `earthloom status` lists them.
    force
        Run it even if nothing has changed.
    """
    check()
    _repro(*(["--force", "--single-item"] if force else []), stage)


def flow(
    name: Literal["build", "rebuild", "retrain"] = "build",
    *,
    targets: list[str] | None = None,
    refresh: bool = False,
    force: list[str] | None = None,
    jobs: int | None = None,
    dry_run: bool = False,
) -> None:
    """Run the pipeline as a Prefect flow: independent instances side by side, with retries and artifacts.

    Parameters
    ----------
    name
        build: everything; rebuild: scenes to split; retrain: mixture, training, evaluation.
    targets
        Stages or instances to bring up to date, with all they need, in place of all of the flow's.
    refresh
        Ask the catalog again, though nothing changed here (rebuild).
    force
        Stages or instances that run even if nothing has changed.
    jobs
        Commands at a time, 1 or more; one for each core if not given.
    dry_run
        Only show what would run. Waits for no other run.
    """
    from flows.command_line import call

    if jobs is not None and jobs < 1:  # before a server is started for nothing
        raise FlowError(f"--jobs is {jobs}: it is the number of commands at a time, 1 or more")
    chosen = getattr(importlib.import_module(f"flows.{name}"), name)
    given = {"targets": targets, "refresh": refresh or None, "force": force, "jobs": jobs}
    options = {option: value for option, value in given.items() if value is not None}
    for option in options:
        if option not in inspect.signature(chosen.fn).parameters:
            raise FlowError(f"--{option} is not an option of flow {name}")
    code = call(chosen, **options, **({"dry_run": True} if dry_run else {}))
    if code:
        sys.exit(code)


def status() -> None:
    """Show which instances are up to date, and why the others would run. Waits for no run."""
    from flows.walking import status as instances

    count, changed = instances.status(Path.cwd())
    log.console.print(instances.table(count, changed) if changed else f"All {count} instances are up to date.")


def _is_fresh() -> bool:
    """Whether nothing would run. params.yaml is valid then: an instance that checks it is among those asked."""
    from flows.walking.status import is_fresh

    try:
        return is_fresh(Path.cwd())
    except EarthloomError:
        return False  # checking params.yaml may say it better, and the flow says the rest


def _repro(*arguments: str) -> None:
    """`dvc repro` with this environment's own programs first on the path; exits with its exit code, if it fails."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", "repro", *arguments]
    finished = subprocess.run(command, env=os.environ | {"PATH": programs}, check=False)
    if finished.returncode:
        sys.exit(finished.returncode)
