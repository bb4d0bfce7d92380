"""Where the images of a record lie: files below the folder of images, data URLs in the record; nothing else.

What a record names leads to a file of that folder or is refused: never to an address, to a place outside, or to a
file whose pixels would not fit into memory.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from tasks.core.data_url import DataURLError, content_of
from tasks.core.inside import OutsideError, inside
from tasks.published.images import Planes
from tasks.published.repairs import Notes, RowError

MAX_FILE = 256 * 2**20
"""Bytes of an image's file."""
MAX_DATA_URL = 32 * 2**20
"""Characters of a data URL."""
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//|file:", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """An image that is there: files that hold it, or its bytes."""

    name: str
    """For people, without the folder."""
    stamp: str
    """Changes when the image does; the same for the same image."""
    files: tuple[Path, ...] = ()
    content: bytes | None = None
    size: int = 0
    """Bytes to read."""


@dataclass(frozen=True)
class ReadImage:
    """An image that was read."""

    planes: Planes
    date: datetime | None = None


class ImageSource(Protocol):
    """Finds what a record names, and reads it."""

    def find(self, reference: str) -> Found:
        """What `reference` leads to; no pixel is read. Raises `RowError`."""
        ...

    def read(self, found: Found, notes: Notes) -> ReadImage:
        """Its pixels, checked. Raises `RowError`."""
        ...


def data_url(reference: str) -> Found:
    """The bytes of a data URL.

    Raises:
        RowError: too-large, or it is no picture in base64.
    """
    if len(reference) > MAX_DATA_URL:
        raise RowError("too-large", f"a data URL of {len(reference):,} characters, {MAX_DATA_URL:,} at most")
    try:
        content = content_of(reference)
    except DataURLError as error:
        raise RowError("undecodable", str(error)) from error
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Found("data URL", digest, content=content, size=len(content))


def is_data_url(reference: str) -> bool:
    """Whether the bytes stand in the record."""
    return reference[:5].lower() == "data:"


def file_below(roots: Sequence[Path], reference: str) -> Path:
    """The one file that `reference` names in one of `roots`.

    Raises:
        RowError: remote-image, unsafe-path, ambiguous-image or missing-image.
    """
    shown = reference[:80]
    if _ADDRESS.match(reference):
        raise RowError("remote-image", f"{shown!r} is an address, and nothing is fetched: download it to --images")
    found: set[Path] = set()
    for root in roots:
        try:
            real = inside(root, reference)
            if real.is_file():
                found.add(real)
        except OutsideError as error:
            raise RowError("unsafe-path", f"{error} (--images)") from error
        except OSError:
            continue  # a name that no file can have
    if not found:
        raise RowError("missing-image", f"there is no file {shown!r} below {' or '.join(root.name for root in roots)}")
    if len(found) > 1:
        raise RowError("ambiguous-image", f"{shown!r} is in several folders; give the right one as --images")
    return found.pop()


def stamp_of(path: Path) -> tuple[str, int]:
    """What changes when a file does, and its bytes.

    Raises:
        RowError: too-large, or it is gone.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise RowError("missing-image", f"{path.name}: {error.strerror}") from error
    if stat.st_size > MAX_FILE:
        raise RowError("too-large", f"{path.name} has {stat.st_size:,} bytes, {MAX_FILE:,} at most")
    return f"{stat.st_size}/{stat.st_mtime_ns}", stat.st_size


def content_of_file(path: Path) -> bytes:
    """All bytes of an image's file, whose size was asked before.

    Raises:
        RowError: it cannot be read, or has grown.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise RowError("missing-image", f"{path.name}: {error.strerror}") from error
    if len(content) > MAX_FILE:
        raise RowError("too-large", f"{path.name} has more than {MAX_FILE:,} bytes")
    return content
