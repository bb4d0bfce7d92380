"""One ask of a model and its answer: what a cache keeps, and every kind of model is given."""

import hashlib
import io
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from tasks.core.data_url import data_url

COMPRESSION = 1
"""Of a PNG: it is sent once, and the time to pack it is time in which a model waits."""


@dataclass(frozen=True)
class Picture:
    """A chip as it is shown. It is enlarged and packed when it is first sent: most are answered by a cache."""

    levels: bytes
    """(H, W, 3), 8 bits, red before green before blue."""
    height: int
    width: int
    side: int
    """Pixels that it is enlarged to, high and wide. Between pixels, as the models enlarge themselves: one that is shown
    as blocks is taken for a mosaic."""
    rendering: str
    """What it shows: bands, limits of the stretch, size."""

    @property
    def pixels_hash(self) -> str:
        """Of what is shown, whatever packs it."""
        size = f"{self.height} {self.width} {self.side} ".encode()
        return hashlib.blake2b(size + self.levels, digest_size=16).hexdigest()

    @cached_property
    def url(self) -> str:
        """PNG as a data URL."""
        return data_url(self.png())

    def png(self) -> bytes:
        """It as a PNG."""
        levels = np.frombuffer(self.levels, np.uint8).reshape(self.height, self.width, 3)
        shown = Image.fromarray(levels).resize((self.side, self.side), Image.Resampling.BICUBIC)
        png = io.BytesIO()
        shown.save(png, "PNG", compress_level=COMPRESSION)
        return png.getvalue()


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
        rest = {name: value for name, value in vars(self).items() if name != "pictures"}
        body = {**rest, "pictures": shown, "model": model, "revision": revision}
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
