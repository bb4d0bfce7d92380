"""Running one stage instance: arguments, log, exit code, summary, and outputs that are whole or absent."""

import errno
import hashlib
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cyclopts

from tasks.core import log, paths
from tasks.core.code import code
from tasks.core.errors import EarthloomError, MissingInputError, StorageError

logger = logging.getLogger(__name__)
CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*/*.json")
Summary = Mapping[str, int | float | str | Mapping[str, Any]]
"""What one instance did, as counts. Deterministic: it is a DVC metric, so no clock and no path of this machine."""


def address(stage: str, *items: str | None) -> str:
    """DVC's name of a stage instance: ("chips", "landsat", "a") -> "chips@landsat-a"."""
    named = [item for item in items if item]
    return f"{stage}@{'-'.join(named)}" if named else stage


def main(stage: str, run: Callable[..., Summary]) -> None:
    """Command line of a stage: `python -m tasks.<stage> --sensor landsat --part a`.

    The options are the keyword parameters of `run`, in the order of dvc.yaml's matrix. Exits with 0 when the
    stage did its work, 2 for wrong parameters, 1 for every other error, which is printed for people.
    """
    log.setup()

    def command(**options: str) -> None:
        write_json(paths.summary(address(stage, *options.values())), run(**options))

    command.__signature__ = _keyword_only(run)  # type: ignore[attr-defined]
    command.__doc__ = run.__doc__
    app = cyclopts.App(name=f"python -m tasks.{stage}", result_action="return_none")
    app.default(command)
    try:
        with storage_errors():
            app()
    except EarthloomError as error:
        logger.error("%s: %s", stage, error)
        sys.exit(error.exit_code)


def _keyword_only(run: Callable[..., Any]) -> Any:
    import inspect

    signature = inspect.signature(run)
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    return signature.replace(parameters=keyword)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn a full or read-only disk, whatever library met it first, into one clear error."""
    try:
        yield
    except EarthloomError:
        raise
    except Exception as error:
        refused = _refused(error)
        if refused is None:
            raise
        place = _existing(refused.filename)
        if refused.errno == errno.EROFS:
            raise StorageError(
                f"{place} is on a disk that cannot be written to ({refused.strerror}). Mount it for writing, or work "
                "in another folder, and run the same command again: what was finished is kept."
            ) from error
        free = shutil.disk_usage(place).free / 1e6
        raise StorageError(
            f"no space left to write ({error}); {free:.0f} MB are free under {place}. "
            "Free some space and run the same command again: what was finished is kept."
        ) from error


def _refused(error: BaseException | None) -> OSError | None:
    """The error of a disk that is full or read-only among the causes of an error; libraries say it in their words."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            return error
        text = str(error).lower()
        if "read-only file system" in text:
            return OSError(errno.EROFS, str(error))
        if "no space left" in text or "file too large" in text:
            return OSError(errno.ENOSPC, str(error))
        error = error.__cause__ or error.__context__
    return None


def _existing(filename: Any) -> Path:
    """The nearest folder or file that is there on the way to a file, for the disk it is on; else the working folder."""
    path = Path(os.fsdecode(filename)).absolute() if isinstance(filename, str | bytes | os.PathLike) else Path.cwd()
    return next(place for place in (path, *path.parents) if place.exists())


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the place of `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and error.filename is None:
            error.filename = str(path)  # a write that fails does not say of which file, nor so of which disk
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)
        raise


def as_json(value: Any) -> str:
    """`value` as the text of a file: sorted keys, a line each."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def write_json(path: Path, value: Any) -> None:
    """Write `value` as `as_json` gives it, atomically."""
    with atomic(path) as partial:
        partial.write_text(as_json(value))


def read_json(path: Path) -> Any:
    """Read a JSON artifact of an earlier stage.

    Raises:
        MissingInputError: it is not there.
    """
    return json.loads(require(path).read_text())


def require(path: Path) -> Path:
    """`path`, if it exists.

    Raises:
        MissingInputError: says which command makes it.
    """
    if not path.exists():
        raise MissingInputError(f"{path} is not there; run `dvc repro` to make it, or `dvc pull` to fetch it")
    return path


def fresh_work(name: str, module: str, *inputs: Any) -> Path:
    """The work folder of an instance, emptied unless it was begun by the same code from the same inputs.

    Args:
        name: address of the instance.
        module: does the work; what it reaches is the code.
        inputs: files, folders and parameters that the work is made from; see `fingerprint`.
    """
    folder = paths.work(name)
    marker = folder / "fingerprint"
    made_from = fingerprint(code(module), *inputs)
    if not marker.is_file() or marker.read_text() != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with atomic(marker) as partial:
            partial.write_text(made_from)
    return folder


def fingerprint(*parts: Any) -> str:
    """Hash of files' contents (Path), and of anything else by its canonical JSON."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    digest.update(str(file.relative_to(part)).encode() + _content(file))
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def checkpoint_hash(folder: Path) -> str:
    """Hash of all files of a checkpoint that its answers depend on: weights, configuration, tokenizer, statistics."""
    files = sorted({path for pattern in CHECKPOINT_FILES for path in folder.glob(pattern)})
    return fingerprint(*(part for path in files for part in (path.relative_to(folder).as_posix(), path)))


def _content(file: Path) -> bytes:
    """Hash of a file that may be larger than memory."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").digest()
