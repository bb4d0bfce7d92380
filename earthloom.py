"""The front door: the command line. Each subcommand is thin, and imports its worker inside."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import cyclopts
from rich.markup import escape

from tasks.benchmarks.command import app as bench
from tasks.core import log, paths
from tasks.core.errors import EarthloomError, MissingInputError
from tasks.scoring.command import score

app = cyclopts.App(
    name="earthloom",
    help="Satellite scenes in through STAC; a versioned instruction dataset, a trained model and its report out.",
    version="0.1.0",
)
app.command(score)
app.command(bench)


@app.command
def demo() -> None:
    """Run the whole pipeline on the embedded sample scenes and print where the report lies.

    A second run does nothing: DVC sees that nothing has changed. Independent instances run side by side, by the
    same flow that `earthloom flow` runs; `dvc repro` gives the same result one after the other.
    """
    check()
    if _dvc("status", "--quiet", check=False):
        flow("build")
    else:
        log.console.print("Nothing has changed since the last run.")
    report()


@app.command
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
    _dvc("repro", *(["--force", "--single-item"] if force else []), stage)


@app.command
def flow(
    name: Literal["build", "rebuild", "retrain"] = "build",
    *,
    jobs: int | None = None,
    dry_run: bool = False,
) -> None:
    """Run the pipeline as a Prefect flow: independent instances side by side, with retries and artifacts.

    Parameters
    ----------
    name
        build: everything; rebuild: scenes to split; retrain: mixture, training, evaluation.
    jobs
        Instances at a time; one for each core if not given.
    dry_run
        Only show what would run.
    """
    import importlib

    from flows.command_line import call

    chosen = getattr(importlib.import_module(f"flows.{name}"), name)
    options = {} if jobs is None else {"jobs": jobs}
    code = call(chosen, dry_run=dry_run, **options)
    if code:
        sys.exit(code)


@app.command
def status() -> None:
    """Show which instances are up to date, and why the others would run."""
    from flows.standing import standing, table

    count, changed = standing(Path.cwd())
    log.console.print(table(count, changed) if changed else f"All {count} instances are up to date.")


@app.command
def report() -> None:
    """Print where the report of the last run lies."""
    page = paths.report()
    if not page.is_file():
        raise MissingInputError(f"{page} is not there; `earthloom demo` makes it")
    log.console.print(f"Report: [bold]{page.resolve().as_uri()}[/bold]", soft_wrap=True)


@app.command
def check() -> None:
    """Check params.yaml: every wrong or unknown parameter is named, with what is allowed."""
    from tasks.params import validate

    validate()
    log.console.print("params.yaml is valid.")


@app.command
def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    from tasks.doctor import examine

    sys.exit(examine())


@app.command
def catalog() -> None:
    """Serve the embedded STAC API until Ctrl-C, to look at it with any STAC client."""
    import signal

    from tasks.core import embedded

    with embedded.serve(Path("samples")) as endpoints:
        log.console.print(f"STAC API: {endpoints.api}\nFiles:    {endpoints.files}\nCtrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def _dvc(*arguments: str, check: bool = True) -> int:
    """Run DVC with this environment's own programs first on the path; its exit code, with which `check` leaves."""
    import os

    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    finished = subprocess.run([sys.executable, "-m", "dvc", *arguments], env=environment, check=False)
    if check and finished.returncode:
        sys.exit(finished.returncode)
    return finished.returncode


def main() -> None:
    """Entry point: errors that are the user's to fix are shown as a sentence, not a traceback."""
    log.setup()
    try:
        app()
    except EarthloomError as error:
        # Brackets of the message are its own: [refer] is a tag of a prompt, no style.
        log.console.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
