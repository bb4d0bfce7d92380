"""What of an exported checkpoint may be sent to a hub: text and safetensors, nothing that runs unasked, no secret."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.errors import ExchangeError
from tasks.exchange.exports.hub import send
from tasks.published.weight_files import PICKLES
from tasks.vlm.weight_headers import CONFIG, read_headers

CARD = "README.md"
SUFFIXES = (".safetensors", ".json", ".jinja", ".md", ".txt", ".model", ".py")
WORDS = ("tokenizer.json", "vocab.json")
"""Their strings are a vocabulary: any of them may look like a path."""
SECRET = re.compile(
    r"\b(hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|sk-[A-Za-z0-9_-]{20,}|xox[abp]-[\w-]{10,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----|(?i:(?:api_key|password|secret|token)\"?\s*[:=]\s*\"[^\"\s]{16,}\")"
)
PATH = re.compile(r"(?:/[\w.+-]+){2,}/?|~/\S+|[A-Za-z]:\\\S+")


@dataclass(frozen=True)
class Sent:
    """A file that would be sent."""

    name: str
    bytes: int


def check(folder: Path) -> list[Sent]:
    """The files of an exported checkpoint, if all of them may be sent.

    Raises:
        ExchangeError: it is no export of a checkpoint, or holds what must not leave; every such file is named.
    """
    if not folder.is_dir():
        raise ExchangeError(f"{folder} is no folder; `earthloom weights export` writes one that can be sent")
    absent = [name for name in (CONFIG, CARD) if not (folder / name).is_file()]
    if absent:
        raise ExchangeError(
            f"{folder} has no {' and no '.join(absent)}: what is sent is what `earthloom weights export` wrote, with "
            "its card, not the folder of a training stage"
        )
    read_headers(folder)
    places = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    wrong = [said for path in places for said in _faults(folder, path)]
    if wrong:
        raise ExchangeError(f"{folder} holds what must not leave:\n  " + "\n  ".join(wrong))
    return [Sent(path.relative_to(folder).as_posix(), path.stat().st_size) for path in places]


def _faults(folder: Path, path: Path) -> Iterator[str]:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink():
        yield f"{name} is a link, and a hub takes files"
    elif path.suffix in PICKLES:
        yield f"{name} is a pickle, which runs what its author wrote when it is opened; safetensors alone leave"
    elif path.suffix not in SUFFIXES or any(part.startswith(".") for part in Path(name).parts):
        yield f"{name} is no file of a checkpoint ({', '.join(SUFFIXES)})"
    elif path.suffix not in (".safetensors", ".model"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if found := SECRET.search(text):
            yield f"{name} holds what looks like a secret: {found[0][:6]}..."
        if path.suffix == ".json" and path.name not in WORDS:
            yield from _paths(name, text)
        if path.suffix == ".py" and not _is_named(folder, path.stem):
            yield f"{name} is code that `auto_map` in {CONFIG} does not name"


def _paths(name: str, text: str) -> Iterator[str]:
    try:
        content = json.loads(text)
    except ValueError as error:
        yield f"{name} is not JSON ({error})"
        return
    for key, value in _strings(content, ""):
        if PATH.fullmatch(value):
            yield f"{name} names a place of this machine: {key} is {value!r}"


def _strings(content: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        yield key, content
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for inner, value in pairs:
        yield from _strings(value, f"{key}.{inner}" if key else str(inner))


def _is_named(folder: Path, module: str) -> bool:
    named = json.loads((folder / CONFIG).read_text()).get("auto_map", {})
    return any(str(reference).split(".")[0] == module for reference in named.values())


def publish(folder: Path, repo: str, private: bool, branch: str | None, tag: str | None) -> str:
    """Send a checked export to a hub of models; what the repository held before and this has not is gone.

    Returns:
        The address of the commit.

    Raises:
        ExchangeError: the folder may not be sent, there is no token, or the hub says no.
    """
    check(folder)
    message = f"Checkpoint from Earthloom{f', {tag}' if tag else ''}"
    return send(folder, repo, "model", message, private, branch=branch, tag=tag, replace=True)
