"""The front door: the command line. Each subcommand is thin, and imports its worker inside."""

import subprocess
import sys
from pathlib import Path
from typing import Literal

import cyclopts
from rich.markup import escape

from tasks.commands import import_, weights
from tasks.commands.bench import app as bench
from tasks.commands.board import board
from tasks.commands.evaluate import evaluate
from tasks.commands.leakage import leakage
from tasks.commands.score import score
from tasks.core import log, paths
from tasks.core.errors import EarthloomError, MissingInputError

app = cyclopts.App(
    name="earthloom",
    help="Satellite scenes in through STAC; a versioned instruction dataset, a trained model and its report out.",
    version="0.1.0",
)
app.command(weights.app)
app.command(import_.app)
app.command(evaluate)
app.command(score)
app.command(leakage)
app.command(board)
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
    from flows import status as instances

    count, changed = instances.status(Path.cwd())
    log.console.print(instances.table(count, changed) if changed else f"All {count} instances are up to date.")


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
    from tasks.check import validate

    validate()
    log.console.print("params.yaml is valid.")


@app.command
def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    from tasks.commands.doctor import examine

    sys.exit(examine())


@app.command
def catalog() -> None:
    """Serve the embedded STAC API until Ctrl-C, to look at it with any STAC client."""
    import signal

    from tasks.earth import sample_catalog

    with sample_catalog.serve(Path("samples")) as endpoints:
        log.console.print(f"STAC API: {endpoints.api}\nFiles:    {endpoints.files}\nCtrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


@app.command
def chat(
    *images: Path,
    model: Path = Path("data/train/3"),
    question: list[str] | None = None,
    sensor: str | None = None,
    date: str | None = None,
    scale: float | None = None,
    offset: float | None = None,
    unit: str | None = None,
    boxes_out: Path | None = None,
    draw: Path | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    max_tiles: int | None = None,
    max_new_tokens: int = 128,
    threads: int = 0,
) -> None:
    """Talk about satellite images with a trained model.

    Parameters
    ----------
    images
        GeoTIFF, JPEG 2000, PNG or JPEG; several for several dates or sensors.
    model
        Folder of a checkpoint: weights, tokenizer and statistics.
    question
        Asked and answered at once, one after the other; without it, questions are read as they are typed.
    sensor
        Which sensor took the images, where they do not say so themselves.
    date
        When they were taken, such as 2017-02-16, where they do not say so themselves.
    scale
        Reflectance, dB or power of one step of the stored numbers, where the images do not say so themselves.
    offset
        Reflectance, dB or power of a stored zero, where the images do not say so themselves.
    unit
        What the numbers of a radar are once scaled: dB, power or amplitude.
    boxes_out
        GeoJSON file for the boxes of the answers.
    draw
        PNG file for the last image with the boxes drawn on it.
    device
        Where the model runs.
    max_tiles
        Most tiles of the images together; as in training if not given.
    max_new_tokens
        Longest answer.
    threads
        CPU threads, 0 for all.
    """
    from tasks.commands.chat import Outputs
    from tasks.commands.chat import chat as talk
    from tasks.vlm.image_file import Declared

    talk(
        images,
        checkpoint=model,
        questions=question or [],
        declared=Declared(sensor=sensor, date=date, scale=scale, offset=offset, unit=unit),
        outputs=Outputs(boxes_out, draw),
        device=device,
        max_tiles=max_tiles,
        max_new_tokens=max_new_tokens,
        threads=threads,
    )


@app.command
def serve(
    *,
    model: Path = Path("data/train/3"),
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str = "earthdial",
    device: Literal["cpu", "cuda"] = "cpu",
    max_tiles: int | None = None,
    max_new_tokens: int = 256,
    waiting: int = 8,
    most_mb: int = 64,
    threads: int = 0,
) -> None:
    """Serve a trained model: an OpenAI-compatible endpoint, and a page to drop an image on and talk.

    Parameters
    ----------
    model
        Folder of a checkpoint: weights, tokenizer and statistics.
    host
        Address to listen on. There is no authentication: put a proxy before it that has some, if it is not loopback.
    port
        Port to listen on; 0 for a free one.
    name
        What requests call the model.
    device
        Where the model runs.
    max_tiles
        Most tiles of a question's images together; as in training if not given.
    max_new_tokens
        Longest answer.
    waiting
        Questions that may wait while one is answered; further ones are refused with 429.
    most_mb
        Largest request in MiB.
    threads
        CPU threads, 0 for all.
    """
    from tasks.commands.serve import serve as listen

    listen(
        model,
        host=host,
        port=port,
        name=name,
        device=device,
        max_tiles=max_tiles,
        max_new_tokens=max_new_tokens,
        waiting=waiting,
        most_mb=most_mb,
        threads=threads,
    )


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
