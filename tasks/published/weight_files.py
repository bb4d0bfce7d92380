"""Where weights come from: a folder, or a hub id at a pinned revision. Safetensors only; no remote code."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from models.rsmoe.prompt import QFORMER_TOKENIZER
from tasks.core.errors import WeightsError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
TEXT_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
"""The tokenizer, in whichever layout it comes."""
IMAGE_SETTINGS = ("processor_config.json", "preprocessor_config.json")
"""How images are prepared: newer files of transformers, then older ones."""
FETCHED = ("*.safetensors", CONFIG, INDEX, *TEXT_FILES, *IMAGE_SETTINGS, f"{QFORMER_TOKENIZER}/*")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Types that weights may have: the name in the file -> torch's."""
HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")


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


def locate(source: str, revision: str | None) -> Path:
    """The folder of the weights; fetched if `source` is a hub id.

    Raises:
        WeightsError: it is neither, its revision is not pinned, or it offers pickles only.
    """
    folder = Path(source)
    if folder.is_dir():
        _refuse_pickles([path.name for path in folder.iterdir()], source)
        return folder
    if folder.exists():
        _refuse_pickles([folder.name], source)
        raise WeightsError(f"{source} is a file; give the folder it lies in, with its {CONFIG} and tokenizer")
    if not HUB_ID.fullmatch(source):
        raise WeightsError(f"{source} is neither a folder nor a hub id (OWNER/NAME)")
    if revision is None or not COMMIT.fullmatch(revision):
        raise WeightsError(
            f"there is no folder {source}. If it is a hub id, say --revision with the full commit, 40 hexadecimal "
            f"digits (given: {revision or 'none'}): a branch or tag may hold other weights tomorrow"
        )
    return _fetch(source, revision)


def _fetch(repository: str, revision: str) -> Path:
    from httpx2 import HTTPError  # the client of huggingface_hub
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        _refuse_pickles(HfApi().list_repo_files(repository, revision=revision), f"{repository} at {revision}")
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(FETCHED)))
    except (HfHubHTTPError, HTTPError, OSError) as error:
        raise WeightsError(f"{repository} at {revision} cannot be fetched from the hub: {error}") from error


def _refuse_pickles(names: Sequence[str], source: str) -> None:
    if any(name.endswith(".safetensors") for name in names):
        return
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if pickles:
        raise WeightsError(
            f"{source} offers weights as pickles only ({', '.join(pickles)}), and reading a pickle runs whatever its "
            "author wrote into it. Ask the owner for safetensors, or let someone who trusts the file convert it on a "
            "machine of its own: safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')"
        )
    raise WeightsError(f"{source} holds no safetensors file")


def read_headers(folder: Path) -> dict[str, Held]:
    """Every tensor of the weights in `folder`, without reading one.

    Raises:
        WeightsError: a file is missing, broken or no safetensors file, or the index and the files disagree.
    """
    index = folder / INDEX
    listed: dict[str, str] | None = json.loads(index.read_text())["weight_map"] if index.is_file() else None
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
            raise WeightsError(f"{index} and the files beside it disagree about {', '.join(astray)}")
    return held


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
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
            return {name: Held(path, tuple(s.get_shape()), str(s.get_dtype())) for name, s in slices.items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a whole safetensors file: {error}") from error


def compare(held: Mapping[str, Held], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Every tensor is there, none is left over, all have their shape and one of `DTYPES`.

    Raises:
        WeightsError: names every tensor that is not so, with its shape.
    """
    wrong = [f"{name} {list(shape)} is missing" for name, shape in expected.items() if name not in held]
    wrong += [
        f"{name} {list(there.shape)} is not of this network" for name, there in held.items() if name not in expected
    ]
    wrong += [
        f"{name} is {list(there.shape)} instead of {list(expected[name])}"
        for name, there in held.items()
        if name in expected and there.shape != expected[name]
    ]
    wrong += [f"{name} is of type {there.dtype}" for name, there in held.items() if there.dtype not in DTYPES]
    if wrong:
        raise WeightsError(f"{len(wrong)} tensors of {where} do not fit {CONFIG}:\n  " + "\n  ".join(wrong))


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of a folder.

    Raises:
        WeightsError: it is missing or no JSON object.
    """
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is not there, and without it the weights' architecture is unknown") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is not a JSON object")
    return content
