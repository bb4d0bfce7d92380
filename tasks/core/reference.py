"""The reference page of params.yaml, written from the sections themselves: name, type, bounds, meaning."""

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
SHAPES = {"min_length": "at least {}", "max_length": "at most {}", "pattern": "matches `{}`"}


def page(params: type[BaseModel]) -> str:
    """The page as Markdown: a table for each section at the top of params.yaml."""
    lines = [
        "# Parameters",
        "",
        "Every number a run depends on stands in `params.yaml`; what is not listed here is refused by name. This page",
        "is written by `earthloom check --reference`, from the code that reads them.",
    ]
    single: list[str] = []
    for name, field in params.model_fields.items():
        rows = list(_rows(field.annotation, name))
        if not rows:
            single.append(_row(name, field))
            continue
        lines += ["", f"## `{name}`", "", *_introduction(field.annotation), *HEAD, *rows]
    return "\n".join([*lines[:4], "", *HEAD, *single, *lines[4:]]) + "\n"


HEAD = ["| parameter | type | bounds | meaning |", "|---|---|---|---|"]


def _introduction(annotation: Any) -> list[str]:
    """The first line of a section's docstring, less the name that the heading has already."""
    documentation = (_section(annotation) or BaseModel).__doc__ or ""
    line = re.sub(r"^`\w+:` in params\.yaml[.:] *", "", documentation.strip().partition("\n")[0])
    return [line[0].upper() + line[1:], ""] if line else []


def _rows(annotation: Any, path: str) -> Iterator[str]:
    """The rows of all parameters below a section; none where the annotation holds none."""
    section = _section(annotation)
    if section is None:
        return
    inner = f"{path}.<name>" if get_origin(_bare(annotation)) is dict else path
    for name, field in section.model_fields.items():
        if issubclass(section, RootModel):
            yield from _rows(field.annotation, inner) if _section(field.annotation) else [_row(inner, field)]
            continue
        full = f"{inner}.{field.alias or name}"
        below = list(_rows(field.annotation, full))
        if field.description or not below:  # a section that may be left out says what that means
            yield _row(full, field)
        yield from below


def _row(path: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    if not field.is_required():
        default = field.get_default(call_default_factory=True, validated_data={})
        meaning += f"{'; ' if meaning else ''}`{'null' if default is None else default}` if not given"
    return f"| `{path}` | {_type(field.annotation)} | {_bounds(field)} | {meaning} |"


def _bounds(field: FieldInfo) -> str:
    found = []
    for limit in field.metadata:
        found += [f"{sign} {getattr(limit, name)}" for name, sign in BOUNDS.items() if hasattr(limit, name)]
        shapes = {name: getattr(limit, name, None) for name in SHAPES}
        found += [SHAPES[name].format(value) for name, value in shapes.items() if value is not None]
    return ", ".join(found).replace("|", "\\|")  # a bar would end the cell, within a pattern too


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        left = [one for one in get_args(annotation) if one is not NoneType]
        return _bare(left[0]) if len(left) == 1 else annotation
    return annotation


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation holds: itself, or the values of a mapping."""
    bare = _bare(annotation)
    if get_origin(bare) is dict:
        return _section(get_args(bare)[1])
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_type(one) for one in get_args(annotation))
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if annotation is _section(annotation):
        return "section"
    if get_origin(annotation) is None:
        return "null" if annotation is NoneType else str(getattr(annotation, "__name__", annotation))
    inside = ", ".join(_type(one) for one in get_args(annotation) if one is not Ellipsis)
    kinds = {list: "list of {}", tuple: "({})", dict: "mapping of {}"}
    return kinds.get(get_origin(annotation), "{}").format(inside)
