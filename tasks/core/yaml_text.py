"""YAML that people or other hosts wrote: read if it is small, in UTF-8, and without doubled keys or aliases."""

from collections.abc import Callable
from typing import Any

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_BYTES = 4_000_000
MAX_DEPTH = 100


def read_yaml(content: bytes, name: str, error: Callable[[str], Exception]) -> Any:
    """The values of a YAML document.

    Args:
        content: of the file.
        name: of the file, for messages.
        error: what is raised.

    Raises:
        error: it is too large, not UTF-8, not YAML, has a key twice, or an alias; says where.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as cause:
        line = content[: cause.start].count(b"\n") + 1
        byte = content[cause.start]
        raise error(f"{name}, line {line}: byte {byte:#04x} is not UTF-8; save the file as UTF-8") from cause
    check_yaml(text, name, MAX_BYTES, error)
    try:
        return yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{name} is not valid YAML: {cause}") from cause


def check_yaml(text: str, name: str, most: int, error: Callable[[str], Exception]) -> None:
    """Refuse a document that a parser would swell on, or read otherwise than people do; nothing is built meanwhile."""
    if len(text) > most:
        raise error(f"{name} has {len(text):,} characters; at most {most:,} are read")
    keys: list[set[str] | None] = []  # of the mappings that are open; None for a list
    is_key: list[bool] = []
    try:
        for event in yaml.parse(text, Loader):
            where = f"{name}, line {event.start_mark.line + 1 if event.start_mark else '?'}"
            if isinstance(event, yaml.AliasEvent):
                raise error(f"{where}: '*{event.anchor}' repeats another part; write it out: aliases are not read")
            if isinstance(event, yaml.CollectionEndEvent):
                keys.pop()
                is_key.pop()
            elif isinstance(event, yaml.NodeEvent):
                if keys and keys[-1] is not None:
                    if is_key[-1] and isinstance(event, yaml.ScalarEvent):
                        if event.value in keys[-1]:
                            raise error(f"{where}: '{event.value}' stands there twice; remove one of them")
                        keys[-1].add(event.value)
                    is_key[-1] = not is_key[-1]
                if isinstance(event, yaml.CollectionStartEvent):
                    if len(keys) >= MAX_DEPTH:
                        raise error(f"{where}: nested more than {MAX_DEPTH} deep")
                    keys.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
                    is_key.append(True)
    except (yaml.YAMLError, ValueError) as cause:
        raise error(f"{name} is not valid YAML: {cause}") from cause
