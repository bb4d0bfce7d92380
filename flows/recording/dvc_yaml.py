"""What DVC reads and writes as YAML, the same but sooner.

Most of a dvc.lock are parameters, the same for the instances of a stage: such a block is parsed, or written, once.
Whatever is not as DVC writes it is left to DVC.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import dpath
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.utils.serialize import ParseError, dumps_yaml, parse_yaml
from ruamel.yaml.error import YAMLError
from voluptuous import Invalid

SCHEMA = "schema: '2.0'\n"
HEAD = re.compile(r"""  (?:'([^'"\\]+)'|([^\s'"#&*!|>%@`,\[\]{}?:-][^\s'"#]*)):\n""")
"""The line that an entry begins with; names that DVC quotes otherwise are left to the parser."""
BLOCK = re.compile(r"    (cmd|deps|params|outs):[ \n]")
"""The line that a part of an entry begins with."""
REFERENCE = re.compile(r"[:-] +[&*]")
PARAMS = "params"
PLAIN = re.compile(r"[^\W\d][\w-]*", re.ASCII)
"""A name that is no number and no wildcard."""


def at(values: Any, key: str) -> Any:
    """What params.yaml has at a key with dots. DVC's own search, for wildcards, walks the whole file for each key.

    Raises:
        KeyError: nothing.
    """
    found = values
    for name in key.split("."):
        if not (PLAIN.fullmatch(name) and isinstance(found, dict) and name in found):
            return dpath.get(values, key, separator=".")
        found = found[name]
    return found


def split(content: str) -> dict[str, str] | None:
    """Entries of a dvc.lock by the lines they begin with, 100 times as fast as a parser; None if unsure."""
    start = SCHEMA + "stages:\n"
    if not content.startswith(start):
        return None
    entries: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in content[len(start) :].splitlines(keepends=True):
        if line.startswith("   ") and current is not None:
            current.append(line)
            continue
        head = HEAD.fullmatch(line)
        name = head and (head[1] or head[2])
        if not name or name in entries:
            return None
        current = entries[name] = [line]
    return {name: "".join(lines) for name, lines in entries.items()}


def lock_values(content: str) -> dict[str, Any] | None:
    """What DVC's parser would read of a dvc.lock; None where that is for the parser itself to say."""
    entries = split(content)
    if not entries or REFERENCE.search(content):
        return None
    others: list[str] = []
    shared: dict[str, str] = {}
    orders: dict[str, dict[str, str]] = {}
    for address, entry in entries.items():
        blocks = _blocks(entry)
        if blocks is None:
            return None
        orders[address] = blocks
        head = entry[: entry.index("\n") + 1]
        others += [head, *(text for name, text in blocks.items() if name != PARAMS)]
        if PARAMS in blocks:
            shared.setdefault(blocks[PARAMS], f"block{len(shared)}")
    document = "stages:\n" + "".join(others) + "shared:\n" + "".join(f"  {n}:\n{t}" for t, n in shared.items())
    try:
        read = parse_yaml(document, "dvc.lock")
        return {
            "schema": "2.0",
            "stages": {
                address: {
                    name: read["shared"][shared[text]][PARAMS] if name == PARAMS else read["stages"][address][name]
                    for name, text in blocks.items()
                }
                for address, blocks in orders.items()
            },
        }
    except (DvcException, ParseError, YAMLError, KeyError, TypeError):
        return None


def entry_text(address: str, entry: Mapping[str, Any]) -> str:
    """One entry as DVC would write it under `stages:`."""
    if PARAMS not in entry:
        return _under(address, dict(entry))
    names = list(entry)
    place = names.index(PARAMS)
    before = {name: entry[name] for name in names[:place]}
    after = {name: entry[name] for name in names[place + 1 :]}
    text = _under(address, before) if before else _under(address, {PARAMS: None}).split("\n", 1)[0] + "\n"
    params = _params(repr(entry[PARAMS]), _Held(entry[PARAMS]))
    return text + params + (_under("x", after).split("\n", 1)[1] if after else "")


class _Held:
    """A value beside its key of the cache: equal to any other."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=1024)
def _params(_key: str, held: _Held) -> str:
    return _under("x", {PARAMS: held.value}).split("\n", 1)[1]


def _under(address: str, entry: Mapping[str, Any]) -> str:
    return str(dumps_yaml({"stages": {address: entry}})).removeprefix("stages:\n")


def _blocks(entry: str) -> dict[str, str] | None:
    """The parts of an entry by name; None if a line belongs to none, or one is there twice."""
    blocks: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in entry.splitlines(keepends=True)[1:]:
        found = BLOCK.match(line)
        if found:
            if found[1] in blocks:
                return None
            current = blocks[found[1]] = []
        elif current is None or not line.startswith(("    - ", "     ")):
            return None
        current.append(line)
    return {name: "".join(lines) for name, lines in blocks.items()}


_load_yaml = Lockfile._load_yaml


def _load_lock(lock: Lockfile, **options: Any) -> Any:
    if options:
        return _load_yaml(lock, **options)
    try:
        with lock.repo.fs.open(lock.path, encoding="utf-8") as file:
            text = file.read()
        values = lock_values(text)
        if values is not None:
            return Lockfile.SCHEMA(values), text
    except (UnicodeDecodeError, Invalid):
        pass
    return _load_yaml(lock)  # which says what is wrong


def quicken() -> None:
    """Let this process's DVC read dvc.lock by `lock_values`."""
    Lockfile._load_yaml = _load_lock
