"""Secrets of the services: random, made once, in one file that its owner alone can read."""

import json
import os
import secrets as random
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tasks.core.errors import ServiceError


@dataclass(frozen=True)
class Secrets:
    """Handed to processes in their environment or on their standard input, never on a command line."""

    database: str = field(default_factory=lambda: random.token_urlsafe(32))
    api: str = field(default_factory=lambda: f"earthloom:{random.token_urlsafe(32)}")
    """`user:password` of the Prefect server."""
    access_key: str = field(default_factory=lambda: random.token_hex(10).upper())
    secret_key: str = field(default_factory=lambda: random.token_urlsafe(32))
    store: str = field(default_factory=lambda: random.token_urlsafe(32))
    """What the parts of the object store sign their requests to each other with."""

    def __repr__(self) -> str:
        """Nothing of them: a traceback or a log may show it."""
        return "Secrets(...)"


def load(services: Path) -> Secrets:
    """The secrets of these services; made if there are none.

    Raises:
        ServiceError: others can read the file, or it does not hold them.
    """
    path = services / "secrets.json"
    if not path.exists():
        made = Secrets()
        write_private(path, json.dumps(asdict(made), indent=2) + "\n")
        return made
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ServiceError(f"{path}: others can read it (mode {mode:o}); chmod 600 it, if nobody has")
    try:
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ServiceError(
            f"{path}: does not hold the secrets that earthloom up made. Restore it: without it the database beside it "
            "opens to nobody."
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, at no moment; a crash leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
