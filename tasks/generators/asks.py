"""One ask of a model and its answer: what a cache keeps, and every kind of model is given."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Picture:
    """A chip as it is shown."""

    url: str
    """PNG as a data URL."""
    pixels_hash: str
    """Of what is shown, whatever wrote the PNG."""
    rendering: str
    """What it shows: bands, limits of the stretch, size."""


@dataclass(frozen=True)
class Ask:
    """What a model is asked, whole."""

    system: str
    user: str
    """The pictures stand before it."""
    pictures: tuple[Picture, ...]
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    attempt: int
    """Of its chip, from 1."""

    def key(self, model: str, revision: str) -> str:
        """Hash of all that an answer depends on, 32 hexadecimal digits; where it is asked is no part of it."""
        shown = [[picture.pixels_hash, picture.rendering] for picture in self.pictures]
        body = {**asdict(self), "pictures": shown, "model": model, "revision": revision}
        return hashlib.blake2b(json.dumps(body, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Answer:
    """What a model answered: a text, or why there is none."""

    text: str
    finish: str = "stop"
    """stop or length; anything else ended it early."""
    fault: str = ""
    """Why there is no text: a refusal, a filter, an answer put elsewhere."""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=True, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Answer":
        """What `to_json` wrote."""
        row: dict[str, Any] = json.loads(text)
        return cls(**row)


class AskError(Exception):
    """One ask that got no answer. Its chip gets a row that says so; other chips are still asked.

    `is_outage` where the server failed, not the request: many of these in a row, and there is no server.
    """

    def __init__(self, message: str, is_outage: bool = False) -> None:
        super().__init__(message)
        self.is_outage = is_outage
