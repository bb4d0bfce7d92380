"""How a request is read: field by field, and nothing in it is ignored that would change the answer.

What would change the answer is honoured, or refused by the field's name. What says "as it is" is accepted, since usual
clients spell out every default of OpenAI's API, and of vLLM's: null everywhere, `n: 1`, penalties of zero, `tools: []`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from tasks.serving.errors import RequestError

T = TypeVar("T", bound=BaseModel)
Idle = Mapping[str, tuple[Any, ...]]
"""Names of fields, and the values of each that change nothing."""


class Fields(BaseModel):
    """An object of a request. What it has no field for is refused, unless a table says that it changes nothing."""

    model_config = ConfigDict(extra="forbid")

    as_it_is: ClassVar[Idle] = {}
    """Fields that are not honoured, and the values of each that ask for nothing but what is done anyway."""
    without_effect: ClassVar[frozenset[str]] = frozenset()
    """Fields that never change an answer: who asks, and what for."""

    @model_validator(mode="before")
    @classmethod
    def _only_what_matters(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {name: value for name, value in given.items() if value is not None and not cls._idle(name, value)}

    @classmethod
    def _idle(cls, name: str, value: Any) -> bool:
        return name in cls.without_effect or any(_same(value, idle) for idle in cls.as_it_is.get(name, ()))


def _same(value: Any, other: Any) -> bool:
    """Equality of JSON, in which true is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def validated(model: type[T], body: Any) -> T:
    """The request that a JSON body asks for.

    Raises:
        RequestError: a field is unknown, missing or wrong; the first is named.
    """
    if not isinstance(body, Mapping):
        raise RequestError("the body must be a JSON object", code="invalid_json")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = _place(first["loc"], body)
        if first["type"] == "extra_forbidden":
            message = f"'{param}' is not supported here{_else(model, str(first['loc'][-1]))}"
            raise RequestError(message, code="unsupported_parameter", param=param) from error
        if first["type"] == "missing":
            raise RequestError(f"{param} is missing", code="missing_required_parameter", param=param) from error
        raise RequestError(f"{param}: {first['msg']}", code="invalid_value", param=param) from error


def _place(parts: Sequence[str | int], body: Any) -> str:
    """The field as its sender knows it: pydantic puts the names of the kinds it chose among between the real ones."""
    real: list[str] = []
    for number, part in enumerate(parts):
        there = part in body if isinstance(body, Mapping) else isinstance(body, list) and isinstance(part, int)
        if there or number == len(parts) - 1:
            real.append(str(part))
            body = body[part] if there else None
    return ".".join(real)


def _else(model: type[BaseModel], name: str) -> str:
    """What a field may be where its value is what was refused."""
    known: Idle = getattr(model, "as_it_is", {})
    values = known.get(name)
    if values is None:
        return ""
    return f"; leave it out{''.join(f', or {value!r}' for value in values)}"
