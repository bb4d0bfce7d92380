"""Answers that are JSON of a schema: llguidance says before each token which ones may come."""

import json
import textwrap
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from torch import Tensor

from models.earthdial.choose import ConstraintError
from tasks.vlm.sampling import NotHonouredError

PARAM = "response_format"
SPELLED = range(0x20, 0x7F)
"""Characters that a JSON text of any schema may need; all others can be written with them."""
NO_TOKENIZER = "json_schema cannot be honoured by this model's tokenizer"
MOST_COMPILED = 32
DEAD_ENDS = ("", "NoExtension", "NoExtensionBias")
"""What llguidance says where no token may follow."""
# No space between what a schema asks for: a small model would go on with spaces to its longest. And what a schema says
# of how it is to be read changes nothing.
OPTIONS: Any = {"whitespace_flexible": False, "lenient": False}


class JsonConstraint:
    """One answer's way through a schema; one of `models.earthdial.choose.Constraint`."""

    def __init__(self, matcher: LLMatcher, rows: int) -> None:
        self.matcher, self.rows = matcher, rows

    def allowed(self) -> Tensor:
        """(rows,) True where a token may come next.

        Raises:
            ConstraintError: there is none, or the schema is too much work.
        """
        mask = allocate_token_bitmask(1, self.rows)
        fill_next_token_bitmask(self.matcher, mask)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[: self.rows].astype(bool)
        if self.matcher.is_error() or not bits.any():
            why = _why(self.matcher.get_error())
            raise ConstraintError("no text keeps to it" if why in DEAD_ENDS else why)
        return torch.from_numpy(bits)

    def take(self, token: int) -> bool:
        """Note a token; whether the JSON is complete."""
        return self.matcher.consume_token(token) and self.matcher.is_stopped()


class JsonSchemas:
    """The schemas that answers of one model were asked to keep to."""

    def __init__(self, tokenizer: Any, rows: int, end: int) -> None:
        """Nothing is compiled yet.

        Args:
            tokenizer: of transformers, with a `backend_tokenizer`.
            rows: of the vocabulary, as the network has it.
            end: token that ends an answer.
        """
        self.tokenizer, self.rows, self.end = tokenizer, rows, end
        self._read: LLTokenizer | None = None
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = Lock()

    def constraint(self, schema: Mapping[str, Any]) -> JsonConstraint:
        """A fresh one.

        Args:
            schema: of JSON Schema; an empty one for any object.

        Raises:
            NotHonouredError: the schema is none, or asks for what is not known here, or for what this model's tokenizer
                cannot spell.
        """
        try:
            key = json.dumps(schema or {"type": "object"})  # in its order, which is that of the answer
        except RecursionError as error:
            raise NotHonouredError("the schema of the answer is nested too deeply", PARAM) from error
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = self._compile(key)
                if len(self._compiled) > MOST_COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return JsonConstraint(self._compiled[key].deep_copy(), self.rows)

    def _compile(self, schema: str) -> LLMatcher:
        if self._read is None:
            self._read = self._tokenizer()
        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=OPTIONS)
        except ValueError as error:
            raise NotHonouredError(f"the schema of the answer cannot be kept to: {_why(str(error))}", PARAM) from error
        matcher = LLMatcher(self._read, grammar, log_level=0, limits=LLParserLimits(verbose_errors=False))
        if matcher.is_error():
            why = _why(matcher.get_error())
            raise NotHonouredError(f"the schema of the answer cannot be kept to: {why}", PARAM)
        try:
            JsonConstraint(matcher, self.rows).allowed()
        except ConstraintError as error:
            raise NotHonouredError(f"the schema of the answer cannot be kept to: {error}", PARAM) from error
        return matcher

    def _tokenizer(self) -> LLTokenizer:
        try:
            read = LLTokenizer(self.tokenizer.backend_tokenizer.to_str(), n_vocab=self.rows, eos_token=self.end)
        except ValueError as error:
            raise NotHonouredError(f"{NO_TOKENIZER}: {error}", PARAM) from error
        spelled = {read.decode_bytes([token]) for token in range(self.rows) if not read.is_special_token(token)}
        lacking = "".join(chr(code) for code in SPELLED if bytes([code]) not in spelled)
        if lacking:
            raise NotHonouredError(f"{NO_TOKENIZER}: it lacks {lacking}", PARAM)
        return read


def _why(said: str) -> str:
    """What llguidance says, in one line."""
    return textwrap.shorten(said.replace("<non-verbose/>", ""), 300, placeholder=" ...")
