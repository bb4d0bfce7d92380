"""What a stage says of its progress while it runs, as artifacts of the run that the UI shows: percent, loss, answers.

A stage says it in its work folder: a line a step in `progress.jsonl` (`tasks.training.throughput`), and in
`samples.jsonl` answers to a few questions. Neither is an output. A stage that writes none has no such artifacts.
"""

import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect.artifacts import MarkdownArtifact, ProgressArtifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.objects import Artifact
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.walking.artifacts import markdown, slug

Logger = logging.Logger | logging.LoggerAdapter[logging.Logger]
LINES, SAMPLES = "progress.jsonl", "samples.jsonl"
EVERY = 5.0
"""Seconds between two updates at the start of a run; later 1 % of its time so far, since the server keeps an event of
each."""
SHOWN = 10
"""Steps in the table."""
WIDTH = 60
"""Points of the curve."""
BARS = "▁▂▃▄▅▆▇█"
COLUMNS = {
    "loss": "loss", "lr": "rate", "tokens_per_second": "tokens/s", "mfu": "MFU", "stall": "waiting for data",
    "peak_memory_mb": "memory MB",
}  # fmt: skip
MAX_TEXT = 200


@contextmanager
def relayed(work: Path, address: str, logger: Logger | None = None, every: float = EVERY) -> Iterator[None]:
    """Show how far an instance is while the block runs, and once more when it ends.

    Makes two artifacts of the current run and keeps them up to date: `progress-<address>` (percent of the steps) and
    `training-<address>` (a page). A server that is away is waited for: the block goes on.

    Args:
        work: the instance's folder under `.earthloom/work`; need not exist yet.
        address: of the instance; `train@1` makes the keys `progress-train-1` and `training-train-1`.
        logger: for the one warning that artifacts could not be made.
        every: seconds between two updates, at least.
    """
    ended = threading.Event()
    relay = _Relay(work, slug(address), logger or logging.getLogger(__name__))
    # With this context, in which Prefect finds whose artifacts they are.
    thread = threading.Thread(target=copy_context().run, args=(_follow, relay, ended, every), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(relay: "_Relay", ended: threading.Event, every: float) -> None:
    began = time.monotonic()
    # The client would try again for minutes, and the end of the command wait for it; the next update is another try.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):
        while not ended.wait(max(every, 0.01 * (time.monotonic() - began))):
            relay.update()
        relay.update()


class _Tail:
    """The lines of a file that grows, each read once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = (0, 0)
        self._rest = b""

    def new(self) -> tuple[bool, list[dict[str, Any]]]:
        """(whether the file is another one than before, its new lines). Half a line waits for its end."""
        try:
            with self.path.open("rb") as file:
                number, place = self._file
                another = file.seek(0, 2) < place or (bool(number) and _inode(file.fileno()) != number)
                if another:
                    place, self._rest = 0, b""
                file.seek(place)
                *lines, self._rest = (self._rest + file.read()).split(b"\n")
                self._file = (_inode(file.fileno()), file.tell())
        except FileNotFoundError:
            return False, []
        return another, [line for line in map(_parse, lines) if line]


def _inode(descriptor: int) -> int:
    return os.fstat(descriptor).st_ino


def _parse(line: bytes) -> dict[str, Any]:
    """A line as a dictionary; an empty one for what a kill cut off."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) and isinstance(values.get("step"), int) else {}


class _Relay:
    """What has been read so far, and the artifacts that show it."""

    def __init__(self, work: Path, key: str, logger: Logger) -> None:
        self.key, self.logger = key, logger
        self._lines, self._samples = _Tail(work / LINES), _Tail(work / SAMPLES)
        self._last: deque[Mapping[str, Any]] = deque(maxlen=SHOWN)
        self._curve: dict[int, float] = {}
        self._answers: list[Mapping[str, Any]] = []
        self._progress: UUID | None = None
        self._page: UUID | None = None
        self._warned = self._due = False

    def update(self) -> None:
        """Read what is new and show it. What the server refuses now is shown the next time."""
        self._read()
        if not (self._due and self._last):
            return
        try:
            self._show()
            self._due = False
        except Exception as error:  # a server that restarts must not end a training
            if not self._warned:
                self.logger.warning("progress cannot be shown just now (%s: %s)", type(error).__name__, error)
            self._warned = True

    def _read(self) -> None:
        another, lines = self._lines.new()
        if another:
            self._last.clear()
            self._curve.clear()
        for line in lines:
            self._last.append(line)
            self._curve = {step: loss for step, loss in self._curve.items() if step < line["step"]}
            self._curve[line["step"]] = float(line.get("loss", "nan"))
        _, samples = self._samples.new()
        if samples:
            self._answers = [sample for sample in samples if sample["step"] == samples[-1]["step"]]
        self._due = self._due or bool(lines or samples)

    def _show(self) -> None:
        last = self._last[-1]
        percent = 100 * last["step"] / max(last.get("steps", 0), last["step"], 1)
        page = self.page()
        if self._progress is None:
            bar = ProgressArtifact(key=f"progress-{self.key}", progress=percent, description=self._headline())
            self._progress = cast(Artifact, bar.create()).id
        else:
            update_progress_artifact(self._progress, percent, description=self._headline())
        if self._page is None:
            made = MarkdownArtifact(key=f"training-{self.key}", markdown=page, description=self._headline())
            self._page = cast(Artifact, made.create()).id
        else:
            # The same artifact: a new one each time would be a version a few seconds.
            with get_client(sync_client=True) as client:
                client.update_artifact(self._page, ArtifactUpdate(data=page, description=self._headline()))

    def page(self) -> str:
        """The page, in Markdown."""
        rows = [
            {"step": str(line["step"])} | {title: _number(line.get(name)) for name, title in COLUMNS.items()}
            for line in self._last
        ]
        answers = [
            {"question": _quoted(one.get("question")), "expected": _quoted(one.get("expected"))}
            | {"answer": _quoted(one.get("answer"))}
            for one in self._answers
        ]
        title = f"Answers after step {self._answers[0]['step']}" if answers else ""
        curve = _curve(list(self._curve.values()))
        return markdown(self._headline(), {"Last steps": rows, title: answers}) + f"\n## Loss\n\n{curve}\n"

    def _headline(self) -> str:
        last = self._last[-1]
        steps = last.get("steps", last["step"])
        seconds = [float(line.get("seconds", 0)) for line in self._last]
        left = (steps - last["step"]) * sum(seconds) / len(seconds)
        return (
            f"step {last['step']} of {steps}, loss {_number(last.get('loss'))}, "
            f"{last.get('tokens_per_second', 0):,.0f} tokens/s, {_duration(left)} left"
        )


def _curve(losses: list[float]) -> str:
    """A line of bars, each the mean of as many steps, and between which losses they lie."""
    width = -(-len(losses) // WIDTH)
    means = [sum(part) / len(part) for start in range(0, len(losses), width) if (part := losses[start : start + width])]
    finite = [mean for mean in means if mean == mean]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(BARS) - 1) / (high - low or 1)
    bars = "".join(BARS[round((mean - low) * scale)] if mean == mean else " " for mean in means)
    return f"`{bars}` from {means[0]:.3f} to {means[-1]:.3f}, lowest {low:.3f} (a bar is {width} steps)"


def _number(value: Any) -> str:
    return f"{value:,.4g}" if isinstance(value, int | float) else ""


def _quoted(text: Any) -> str:
    """Text of a model or a data set as it is: in Markdown nothing within backquotes means anything."""
    words = " ".join(str(text or "").replace("`", "'").split())
    return f"`{words[:MAX_TEXT]}{'...' if len(words) > MAX_TEXT else ''}`"


def _duration(seconds: float) -> str:
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
