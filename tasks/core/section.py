"""Sections of params.yaml: immutable, typed, closed. An unknown key is an error that lists the known ones."""

import difflib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.core.errors import ParamsError
from tasks.core.yaml_text import read_yaml

PARAMS_FILE = Path("params.yaml")


class Section(BaseModel):
    """Base of every section: immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


S = TypeVar("S", bound=BaseModel)


@cache
def _read(path: Path, modified: int) -> dict[str, Any]:
    values = read_yaml(path.read_bytes(), str(path), ParamsError)
    if not isinstance(values, dict):
        raise ParamsError(f"{path} must be a mapping of sections, not {type(values).__name__}")
    return values


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """All of params.yaml as YAML reads it.

    Raises:
        ParamsError: the file is missing or not a YAML mapping.
    """
    if not path.is_file():
        raise ParamsError(f"{path} not found in {Path.cwd()}; run from the root of the project")
    return _read(path, path.stat().st_mtime_ns)


def load(section: type[S], key: str, path: Path = PARAMS_FILE) -> S:
    """Section `key` (dots descend, as in `sensors.landsat`) of params.yaml, validated.

    Raises:
        ParamsError: names each wrong parameter by its full path, with what is allowed there.
    """
    value: Any = read_params(path)
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ParamsError(f"{path}: section '{key}' is missing")
        value = value[name]
    return parse(section, value, key, path)


def parse(section: type[S], value: Any, key: str = "", path: Path = PARAMS_FILE) -> S:
    """Validate `value` as `section`; `key` is where it stands in the file, for messages."""
    try:
        return section.model_validate(value)
    except ValidationError as error:
        lines = [_explain(section, key, dict(detail)) for detail in error.errors()]
        raise ParamsError(f"{path}: " + "\n".join(lines)) from error


def _explain(section: type[BaseModel], key: str, detail: dict[str, Any]) -> str:
    where = ".".join(part for part in [key, *map(str, detail["loc"])] if part)
    if detail["type"] == "extra_forbidden":
        allowed = sorted(_fields_at(section, detail["loc"][:-1]))
        unknown = str(detail["loc"][-1])
        close = difflib.get_close_matches(unknown, allowed, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        return f"'{where}' is not a parameter{hint} Allowed here: {', '.join(allowed)}."
    if detail["type"] == "missing":
        return f"'{where}' is missing."
    message = detail["msg"].removeprefix("Value error, ")
    return f"'{where}' is {detail['input']!r}: {message[0].lower()}{message[1:]}."


def _fields_at(section: Any, location: tuple[Any, ...]) -> list[str]:
    """Names of the fields that `location` leads to, through nested sections, lists and dicts."""
    current: Any = section
    for step in location:
        current = _unwrap(current)
        if isinstance(current, type) and issubclass(current, Section):
            field = current.model_fields.get(str(step))
            current = field.annotation if field else None
        else:
            arguments = get_args(current)
            current = arguments[-1] if arguments else None
    current = _unwrap(current)
    is_section = isinstance(current, type) and issubclass(current, Section)
    return list(current.model_fields) if is_section else []


def _unwrap(annotation: Any) -> Any:
    """The section inside an optional, `X | None` -> `X`."""
    if get_origin(annotation) in (Union, UnionType):
        return next((a for a in get_args(annotation) if a is not type(None)), None)
    if get_origin(annotation) is Literal:
        return None
    return annotation
