"""How long a request waits before it is tried again, and what a run may spend."""

import asyncio
import email.utils
import random
import time
from collections.abc import Mapping

from tasks.generators.asks import Answer, AskError
from tasks.generators.params import ModelParams

FIRST_WAIT = 0.5
"""Seconds; twice as many each time."""


class Gate:
    """Shut for all requests of a run while the server asks for a pause."""

    def __init__(self) -> None:
        self._opens = 0.0

    def shut(self, seconds: float) -> None:
        """Let nothing through for so long; a pause that is longer already stays."""
        self._opens = max(self._opens, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until it is open."""
        while (left := self._opens - time.monotonic()) > 0:
            await asyncio.sleep(left)


def wait_before(attempt: int, asked: float | None, left: float, seed: int) -> float:
    """Seconds to wait before a request is tried again.

    Args:
        attempt: how often it failed, from 1.
        asked: what the server asks for at least; None where it asks for nothing.
        left: seconds that the request may still wait.
        seed: of the request, so that requests which failed together do not come back together.
    """
    backoff: float = FIRST_WAIT * 2 ** (attempt - 1) * random.Random(f"{seed}/{attempt}").uniform(0.5, 1.0)
    return max(0.0, min(max(backoff, asked or 0.0), left))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, by any of the three ways to say so; None where it does not."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (said := headers.get("retry-after")) is None:
            return None
        try:
            return max(0.0, float(said))
        except ValueError:
            return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


class Budget:
    """What a run has spent, and may: an ask is let through only if what it may cost at most still fits."""

    def __init__(self, params: ModelParams) -> None:
        self._params = params
        self._reserved_tokens, self._reserved_cost = 0, 0.0
        self.tokens, self.cost = 0, 0.0
        self._refused = False
        """Once one ask was refused all are: a smaller one that still fits would leave gaps here and there."""

    def reserve(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Set aside what an ask may cost.

        Raises:
            AskError: it does not fit.
        """
        limit, cost = self._params.budget, self._params.cost(prompt_tokens, completion_tokens)
        tokens = prompt_tokens + completion_tokens
        if limit.tokens is not None and self.tokens + self._reserved_tokens + tokens > limit.tokens:
            self._refused = True
        if limit.cost is not None and self.cost + self._reserved_cost + cost > limit.cost:
            self._refused = True
        if self._refused:
            raise AskError("budget: what `qa.model.budget` allows is spent; raise it and run again to go on here")
        self._reserved_tokens += tokens
        self._reserved_cost += cost

    def settle(self, prompt_tokens: int, completion_tokens: int, answer: Answer | None) -> None:
        """Replace what was set aside by what it was; of an answer without a count, what was set aside is taken."""
        self._reserved_tokens -= prompt_tokens + completion_tokens
        self._reserved_cost -= self._params.cost(prompt_tokens, completion_tokens)
        if answer is not None:
            counted = answer.prompt_tokens or answer.completion_tokens
            spent = (answer.prompt_tokens, answer.completion_tokens) if counted else (prompt_tokens, completion_tokens)
            self.tokens += sum(spent)
            self.cost += self._params.cost(*spent)
