"""What the answers of a model in a folder depend on, as one hash."""

import hashlib
from pathlib import Path

HASHED = ("*.safetensors", "*.json", "*.jinja", "*.model")
"""Weights, configuration, tokenizer, statistics, templates."""


def of_folder(folder: Path) -> str:
    """Hash of the names and contents of a checkpoint's files."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({path for pattern in HASHED for path in folder.glob(pattern)}):
        with path.open("rb") as file:
            digest.update(f"{path.name} {hashlib.file_digest(file, 'blake2b').hexdigest()}\n".encode())
    return digest.hexdigest()
