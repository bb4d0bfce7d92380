"""Logs: rich on a terminal, plain lines in a pipe, one JSON object a line where EARTHLOOM_LOG=json asks for it."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import Any, TypeVar

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from tasks.core.redaction import RedactingFilter

console = Console(stderr=True)
FORMAT = "EARTHLOOM_LOG"
"""Variable of the environment that asks for JSON; a flow sets it for the commands it relays."""
CHATTY = (
    "httpx", "httpcore", "urllib3", "rasterio", "pystac_client", "uvicorn",
    "stac_io", "stac", "rustac", "openai", "httpx2", "mcp",
)  # fmt: skip
"""Loggers of libraries whose every step is no news."""
T = TypeVar("T")


class JsonFormatter(logging.Formatter):
    """`{"level": ..., "logger": ..., "message": ..., **extra}`, one line a record."""

    _standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """One record as a JSON line; fields given as `extra=` stand beside the message."""
        extra = {k: v for k, v in vars(record).items() if k not in self._standard}
        body: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            body["traceback"] = self.formatException(record.exc_info)
        return json.dumps(body, default=str)


class LineFormatter(logging.Formatter):
    """`12:03:44 chips@landsat-a: 64 windows`: the time, the level if it is one to look at, whose line it is."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as a line, with its traceback below if it has one."""
        level = f"{record.levelname} " if record.levelno > logging.INFO else ""
        instance = getattr(record, "task_run_name", "")  # of an instance that a flow runs
        record.message = f"{level}{f'{instance}: ' if instance else ''}{record.getMessage()}"
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.message}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def setup(level: int = logging.INFO) -> None:
    """Send the root logger to stderr, in the form that suits who reads it; see the head of this page."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if os.environ.get(FORMAT) == "json":
        handler.setFormatter(JsonFormatter())
    elif sys.stderr.isatty():
        handler = RichHandler(console=console, show_path=False, markup=False)
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler.setFormatter(LineFormatter())
    handler.addFilter(RedactingFilter(CHATTY))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def progress(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar on a terminal, silently otherwise."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield from bar.track(items, total=total, description=title)
