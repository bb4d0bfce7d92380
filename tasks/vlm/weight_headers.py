"""What the files of a checkpoint say of its weights before one of them is read: their headers, and config.json.

A configuration is a stranger's text: it is held to the tensors that are there before a network is built of it, for ten
million layers would be built for hours.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from tasks.core.errors import WeightsError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MOST_CONFIG = 2**20
"""Bytes of a config.json: real ones have some thousand."""
MOST_INDEX = 2**26
"""Bytes of an index: a hundred for each tensor."""
NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
"""Of a layer, in the name of a tensor of it."""

WIDTHS = (
    "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "num_key_value_heads", "num_channels",
)  # fmt: skip
"""Fields of a configuration that are sides of a tensor, or parts of one."""


@dataclass(frozen=True)
class Held:
    """A tensor in a file: its shape and the file format's name of its type."""

    file: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in the file."""
        bits = re.search(r"\d+", self.dtype)
        return self.elements * (int(bits.group()) if bits else 8) // 8


def read_headers(folder: Path) -> dict[str, Held]:
    """Every tensor of the weights in `folder`, without reading one.

    Raises:
        WeightsError: a file is missing, broken or no safetensors file, or the index and the files disagree.
    """
    index = folder / INDEX
    listed = _listed(index) if index.is_file() else None
    files = sorted(set(listed.values())) if listed is not None else _files(folder)
    absent = [name for name in files if not (folder / name).is_file()]
    if absent:
        raise WeightsError(f"{INDEX} names files that are not in {folder}: {', '.join(absent)}")
    held: dict[str, Held] = {}
    for name in files:
        for tensor, there in _header(folder / name).items():
            if tensor in held:
                raise WeightsError(f"{tensor} is in two files of {folder}: {held[tensor].file.name} and {name}")
            held[tensor] = there
    if listed is not None:
        astray = sorted(
            tensor
            for tensor in listed.keys() | held.keys()
            if tensor not in held or listed.get(tensor) != held[tensor].file.name
        )
        if astray:
            shown = ", ".join(astray[:6]) + (", ..." if len(astray) > 6 else "")
            raise WeightsError(f"{index} and the files beside it disagree about {len(astray)} tensors: {shown}")
    return held


def _listed(index: Path) -> dict[str, str]:
    """Tensor -> the file that it is in, by an index."""
    listed = _object(index, MOST_INDEX).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise WeightsError(f"{index} has no weight_map of tensors to files")
    astray = sorted({name for name in listed.values() if Path(name).name != name})
    if astray:
        raise WeightsError(f"{index} names {', '.join(astray[:3])}, which is no file beside it")
    return listed


def _files(folder: Path) -> list[str]:
    if (folder / SINGLE).is_file():
        return [SINGLE]
    parts = sorted(path.name for path in folder.glob("model-*-of-*.safetensors"))
    if parts:
        count = int(parts[0].rsplit("-", 1)[1].split(".")[0])
        if len(parts) != count:
            raise WeightsError(f"{folder} holds {len(parts)} of {count} files of weights: {', '.join(parts)}")
        return parts
    raise WeightsError(f"{folder} has neither {SINGLE} nor {INDEX} nor model-00001-of-0000N.safetensors")


def _header(path: Path) -> dict[str, Held]:
    try:
        with safe_open(path, framework="np") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            return {name: Held(path, tuple(s.get_shape()), str(s.get_dtype())) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a folder.

    Raises:
        WeightsError: it is missing or no JSON object.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise WeightsError(f"{path} is not there, and without it the weights' architecture is unknown")
    return _object(path, MOST_CONFIG)


def _object(path: Path, most: int) -> dict[str, Any]:
    """A JSON object of a file of at most `most` bytes."""
    try:
        if path.stat().st_size > most:
            raise WeightsError(f"{path} has {path.stat().st_size:,} bytes; {most:,} at most")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a JSON object")
    return content


def check_sizes(config: Mapping[str, Any], held: Mapping[str, Held], where: str) -> None:
    """Refuse a configuration of a larger network than its weights are.

    Args:
        config: of `read_config`.
        held: of `read_headers`.
        where: the folder.

    Raises:
        WeightsError: names the field.
    """
    layers = max((int(number) + 1 for name in held for number in NUMBER.findall(name)), default=0)
    widest = max((side for tensor in held.values() for side in tensor.shape), default=0)
    for name, value in _numbers(config, ""):
        last = name.rpartition(".")[2]
        most = layers if "num_" in last and "layers" in last else widest if last in WIDTHS else None
        if most is not None and not 0 <= value <= most:
            raise WeightsError(
                f"{where}/{CONFIG}: {name} is {value:,}, and the weights beside it are of {most:,} at most; take both "
                "from one checkpoint"
            )


def _numbers(config: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{prefix}{name}", value
