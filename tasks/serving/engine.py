"""The one thread that answers are decoded on: questions join and leave the running batch between any two steps."""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

import torch

from tasks.serving.errors import RequestError
from tasks.serving.numbers import Numbers, Outcome
from tasks.vlm.network import Part, SideBySide

logger = logging.getLogger(__name__)

CLOSING = "the server is shutting down; ask again when it is back"
DIED = "the server can decode no more answers, its log says why; it must be started again"


class StoppedError(RequestError):
    """No answer can be decoded any more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code="server_stopped", status=503)


@dataclass(eq=False)
class Ticket:
    """A question that was handed in."""

    number: int
    prepared: Any
    """Of `SideBySide.prepare`."""
    tokens: int
    """Of the question."""
    put: Callable[[Part], None]
    """Takes what each step adds to the answer; called on the thread that decodes."""
    handed_in: float = field(default_factory=time.perf_counter)
    cancelled: bool = False
    answered: int = 0
    """Tokens of the answer so far."""


class Engine:
    """Decodes the answers of a network side by side until it is drained."""

    def __init__(self, answers: SideBySide, numbers: Numbers) -> None:
        self.answers, self.numbers = answers, numbers
        self._changed = Condition()
        self._waiting: deque[Ticket] = deque()
        self._running: dict[int, Ticket] = {}
        self._next = 0
        self._draining = self._closing = False
        self._why = ""
        """Why the thread has ended."""
        numbers.rows.set(answers.rows)
        self._thread = Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether questions are taken and answered."""
        return self._thread.is_alive() and not self._draining and not self._why

    def check(self) -> None:
        """Refuse a question that nobody would answer.

        Raises:
            StoppedError: the server is shutting down, or its thread has died.
        """
        if not self.alive:
            raise StoppedError(self._why or (CLOSING if self._draining else DIED))

    def submit(self, prepared: Any, tokens: int, put: Callable[[Part], None]) -> Ticket:
        """Hand in a question.

        Args:
            prepared: of `SideBySide.prepare`.
            tokens: of the question.
            put: takes what each step adds to the answer, on the thread that decodes.

        Raises:
            StoppedError: nobody would answer.
        """
        with self._changed:
            self.check()
            ticket = Ticket(self._next, prepared, tokens, put)
            self._next += 1
            self._waiting.append(ticket)
            self._changed.notify()
        self.numbers.begun.inc()
        self.numbers.prompt_tokens.inc(tokens)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Nobody wants the answer any more: its row is free before the next step, its place in the queue at once."""
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self.numbers.ended("cancelled")
            ticket.cancelled = True
            self._changed.notify()

    def drain(self, seconds: float) -> None:
        """Take no more questions, give those that were taken so long to be answered, cut the rest, end the thread."""
        with self._changed:
            self._draining = True
            self._changed.wait_for(lambda: not (self._waiting or self._running) or bool(self._why), seconds)
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        why = DIED
        try:
            while not self._turn():
                pass
            why = CLOSING
        except BaseException as error:
            logger.critical("the thread that decodes answers has ended", exc_info=error)
        finally:
            self._end(why)

    def _turn(self) -> bool:
        """One step of all answers, with those that join and without those that leave; whether it was the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._running or self._closing)
            if self._closing:
                return True
            gone = [ticket for ticket in self._running.values() if ticket.cancelled]
        for ticket in gone:
            self.answers.leave(ticket.number)
            self._ended(ticket, "cancelled")
        joining = self._join()
        try:
            if joining:
                for part in self.answers.begin(joining, lambda number: self._running[number].cancelled):
                    self._give(part)
            if self._running:
                for part in self.answers.step():
                    self._give(part)
        except torch.AcceleratorError:
            raise
        except Exception as error:
            # Of a step of all: none of them can go on.
            logger.error("a step of %d answers failed", len(self._running), exc_info=error)
            self.answers.reset()
            for ticket in list(self._running.values()):
                self._give(Part(ticket.number, failed=str(error) or repr(error)))
        return False

    def _join(self) -> list[tuple[int, Any]]:
        """Questions for which there is room now, in the order they came."""
        joining: list[tuple[int, Any]] = []
        with self._changed:
            while self._waiting:
                ticket = self._waiting[0]
                if not self.answers.admits(ticket.prepared, [prepared for _, prepared in joining]):
                    break
                self._running[ticket.number] = self._waiting.popleft()
                joining.append((ticket.number, ticket.prepared))
            self.numbers.waiting.set(len(self._waiting))
        self.numbers.running.set(len(self._running))
        return joining

    def _give(self, part: Part) -> None:
        ticket = self._running[part.number]
        if part.tokens and not ticket.answered:
            self.numbers.first_token.observe(time.perf_counter() - ticket.handed_in)
        self.numbers.answer_tokens.inc(part.tokens - ticket.answered)
        ticket.answered = part.tokens
        if part.last:  # counted before it is given: who has the answer finds it in the numbers
            self.numbers.cached_tokens.inc(part.cached)
            self._ended(ticket, "failed" if part.failed else "finished")
        if not ticket.cancelled:
            ticket.put(part)

    def _ended(self, ticket: Ticket, outcome: Outcome) -> None:
        self.numbers.ended(outcome)
        self.numbers.answer.observe(time.perf_counter() - ticket.handed_in)
        with self._changed:
            del self._running[ticket.number]
            self._changed.notify_all()
        self.numbers.running.set(len(self._running))

    def _end(self, why: str) -> None:
        """Answer all that are left: nobody else would."""
        with self._changed:
            self._why = why
            left = [*self._waiting, *self._running.values()]
            self._waiting.clear()
            self._running.clear()
            self._changed.notify_all()
        for ticket in left:
            self.numbers.ended("failed")
            ticket.put(Part(ticket.number, failed=why, stopped=True))
