"""Where weights come from: a folder, or a hub id at a pinned revision. Safetensors only; no remote code."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from models.rsmoe.prompt import QFORMER_TOKENIZER
from tasks.core.errors import WeightsError
from tasks.vlm.weight_headers import CONFIG, INDEX, Held

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
