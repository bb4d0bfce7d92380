"""What a server counts, for Prometheus; safe on any thread."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Outcome = Literal["finished", "cancelled", "failed", "refused"]
FIRST = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
WHOLE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 180)
"""Upper edges of the histograms in seconds."""


class Numbers:
    """On a registry of their own: a process may hold several servers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.begun = Counter("earthloom_requests_begun", "Questions that were taken", registry=self.registry)
        self._ended = Counter(
            "earthloom_requests", "Questions by what became of them", ["outcome"], registry=self.registry
        )
        self.prompt_tokens = Counter("earthloom_prompt_tokens", "Tokens of questions", registry=self.registry)
        self.cached_tokens = Counter(
            "earthloom_cached_tokens", "Tokens of questions whose keys and values were kept", registry=self.registry
        )
        self.answer_tokens = Counter("earthloom_answer_tokens", "Tokens of answers", registry=self.registry)
        self.rows = Gauge("earthloom_rows", "Answers that can be decoded together", registry=self.registry)
        self.running = Gauge("earthloom_rows_in_use", "Answers being decoded", registry=self.registry)
        self.waiting = Gauge("earthloom_requests_waiting", "Questions that wait for a row", registry=self.registry)
        self.first_token = Histogram(
            "earthloom_first_token_seconds",
            "From taking a question to the first token of its answer",
            buckets=FIRST,
            registry=self.registry,
        )
        self.answer = Histogram(
            "earthloom_answer_seconds",
            "From taking a question to the end of its answer",
            buckets=WHOLE,
            registry=self.registry,
        )
        for outcome in ("finished", "cancelled", "failed", "refused"):
            self._ended.labels(outcome)  # at 0 from the start, so that a rate can be taken

    def ended(self, outcome: Outcome) -> None:
        """A question has come to its end."""
        self._ended.labels(outcome).inc()
