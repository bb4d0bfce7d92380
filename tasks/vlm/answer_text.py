"""The text of an answer as its tokens come: what may still change is held back, and what follows a stop is cut off."""

from collections.abc import Callable, Sequence

from tasks.vlm.sampling import TokenLogprob

UNFINISHED = "\ufffd"
"""What a character looks like of which not all bytes are there."""


class TokenText:
    """The text of tokens, character by whole character."""

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self.decode = decode
        self._ids: list[int] = []
        self._begin = self._shown = 0

    def add(self, token: int) -> str:
        """What a token adds; nothing while a character is unfinished."""
        self._ids.append(token)
        added = self._added()
        if not added or added.endswith(UNFINISHED):
            return ""
        # Decoded with the tokens before them: a tokenizer drops the space that begins a text.
        self._begin, self._shown = self._shown, len(self._ids)
        return added

    def rest(self) -> str:
        """What is unfinished at the end."""
        return self._added()

    def _added(self) -> str:
        before = self.decode(self._ids[self._begin : self._shown])
        return self.decode(self._ids[self._begin :])[len(before) :]


class StopText:
    """Text up to the first of some stops."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = stops
        self.stopped = False
        self._held = ""

    def add(self, text: str) -> str:
        """What of a text is sure to belong to the answer."""
        self._held += text
        found = [(place + len(stop), place) for stop in self.stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            # The first that is complete, as if the text had come letter by letter.
            return self._give(min(found)[1])
        return self._give(len(self._held) - max((self._begun(stop) for stop in self.stops), default=0))

    def rest(self) -> str:
        """What was held back, where no stop came of it."""
        return "" if self.stopped else self._give(len(self._held))

    def _begun(self, stop: str) -> int:
        """Characters at the end that a stop begins with."""
        most = min(len(stop) - 1, len(self._held))
        return next((length for length in range(most, 0, -1) if self._held.endswith(stop[:length])), 0)

    def _give(self, length: int) -> str:
        given, self._held = self._held[:length], self._held[length:]
        return given


class AnswerText:
    """Both, with what is known of each token; it comes with the text that its token begins."""

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str]) -> None:
        self._tokens, self._stop = TokenText(decode), StopText(stops)
        self._decoded = self._given = 0
        self._rows: list[tuple[int, TokenLogprob]] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop has come."""
        return self._stop.stopped

    def add(self, token: int, known: TokenLogprob | None = None) -> tuple[str, tuple[TokenLogprob, ...]]:
        """What a token makes ready to be shown."""
        if known is not None:
            self._rows.append((self._decoded, known))
        added = self._tokens.add(token)
        self._decoded += len(added)
        return self._ready(self._stop.add(added) if added else "")

    def rest(self) -> tuple[str, tuple[TokenLogprob, ...]]:
        """What is still to be shown once no token comes any more."""
        if self.stopped:
            return "", ()
        unfinished = self._tokens.rest()
        text = self._stop.add(unfinished) + self._stop.rest()
        known = tuple(row for _, row in self._rows)
        return text, () if self.stopped else known

    def _ready(self, text: str) -> tuple[str, tuple[TokenLogprob, ...]]:
        self._given += len(text)
        ready = [row for place, row in self._rows if place < self._given]
        self._rows = [(place, row) for place, row in self._rows if place >= self._given]
        return text, tuple(ready)
