"""File names from ids: an id is a text of whoever wrote the catalog, and never leads out of the export's folder."""

import hashlib
import re

SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,95}")
"""No dot: WebDataset takes what follows the first one for the kind of the file."""
REPLACED = re.compile(r"[^A-Za-z0-9_-]+")


def file_name(identity: str) -> str:
    """A name for the files of one id: the id itself where it is safe, else what is safe of it and its hash."""
    if SAFE.fullmatch(identity):
        return identity
    kept = REPLACED.sub("_", identity).strip("_-")[:80]
    return f"{kept or 'chip'}-{_digest(identity)[:12]}"


def picture_path(identity: str, kind: str = "png", folder: str = "images") -> str:
    """Path of a chip's file from the export's folder: spread over 256 folders, so that none holds millions."""
    return f"{folder}/{_digest(identity)[:2]}/{file_name(identity)}.{kind}"


def _digest(identity: str) -> str:
    return hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
