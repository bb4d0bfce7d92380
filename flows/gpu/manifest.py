"""What a checkpoint on the remote is made of, and what of it is believed: its names, sizes and hashes."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
PARTS = {"model.safetensors", "optimizer.safetensors", "progress.json"}
"""Files of a checkpoint, as `tasks.training.checkpoint` writes them."""
MAX_MANIFEST = 1 << 16
CHUNK = 1 << 22
FILE = re.compile(r"[a-z][a-z0-9_-]{0,63}\.(safetensors|json)")
HASH = re.compile(r"[0-9a-f]{128}")


class DamagedError(Exception):
    """A checkpoint on the remote that is not what its manifest says, or has none; the message says what is wrong."""


@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says of a checkpoint."""

    fingerprint: str
    files: Mapping[str, tuple[int, str]]
    """Name -> (bytes, blake2b in hexadecimal)."""

    @classmethod
    def read(cls, text: bytes) -> "Manifest":
        """Of the bytes of the file.

        Raises:
            DamagedError: they are not a manifest, or name a file that may not come back.
        """
        try:
            values = json.loads(text)
            marker = values["fingerprint"]
            files = {name: (entry["size"], entry["blake2b"]) for name, entry in values["files"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedError(f"{MANIFEST} is not a manifest") from error
        for name, (size, digest) in files.items():
            if name == MANIFEST or not FILE.fullmatch(name):
                raise DamagedError(f"{MANIFEST} names a file that no checkpoint has")
            if not (type(size) is int and size >= 0 and isinstance(digest, str) and HASH.fullmatch(digest)):
                raise DamagedError(f"{MANIFEST} has no size and hash of {name}")
        if not (isinstance(marker, str) and re.fullmatch(r"[0-9a-f]{32}", marker) and files.keys() >= PARTS):
            raise DamagedError(f"{MANIFEST} is not that of a checkpoint")
        return cls(marker, files)


def copy_hashed(read: Callable[[int], bytes], target: Path, size: int) -> str:
    """Write what is read to a file, at most `size` bytes and one; the hash of all that was read."""
    digest, left = hashlib.blake2b(), size + 1
    with target.open("wb") as file:
        while left and (chunk := read(min(CHUNK, left))):
            digest.update(chunk)
            file.write(chunk)
            left -= len(chunk)
    return digest.hexdigest()
