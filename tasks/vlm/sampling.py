"""What may be asked of the tokens of an answer, and what is known of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.errors import EarthloomError


class NotHonouredError(EarthloomError):
    """Something was asked of an answer that this model cannot keep to."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param
        """The field of OpenAI's request that asked for it."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen and where the answer ends; temperature 0 takes the likeliest."""

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    """Of drawn tokens; the same seed draws the same ones, whatever else is being answered."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer, and are no part of it."""
    top_logprobs: int | None = None
    """Likeliest tokens whose logarithms of probability are wanted beside each chosen token's; None for none at all."""
    json_schema: Mapping[str, Any] | None = None
    """Schema that the answer is to be JSON of; an empty one for any object."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token of an answer and how likely it was, as OpenAI's `logprobs.content` has them."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """(text, logarithm of probability) of the likeliest tokens at its place, the likeliest first."""
