"""A path within a folder: what others wrote into their lists, ids and archives leads to files of that folder alone."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from tasks.core.errors import EarthloomError


class OutsideError(EarthloomError):
    """A path that does not stay below its folder, as it is written or through a link."""


def inside(folder: Path, reference: str | Path) -> Path:
    """The real path that `reference` names below `folder`; whether something is there or not.

    Raises:
        OutsideError: it is absolute, climbs with `..`, or leads out through a link.
    """
    text = str(reference)
    parts = {*PurePosixPath(text).parts, *PureWindowsPath(text).parts}
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).drive or ".." in parts or "\0" in text:
        raise OutsideError(f"{text[:80]!r} does not stay below {folder.name}: a relative path without `..` is read")
    return within(folder, folder / text)


def within(folder: Path, path: Path) -> Path:
    """The real path of a file below `folder`.

    Raises:
        OutsideError: it lies elsewhere, or leads there through a link.
    """
    try:
        real = path.resolve()
    except (OSError, RuntimeError) as error:
        raise OutsideError(f"{path.name[:80]!r} is a link that leads nowhere ({error})") from error
    if not real.is_relative_to(folder.resolve()):
        raise OutsideError(f"{path.name[:80]!r} leads out of {folder.name}, by its name or through a link")
    return real


def stays_within(folder: Path, path: Path) -> bool:
    """Whether a file below `folder` really lies there."""
    try:
        within(folder, path)
    except OutsideError:
        return False
    return True
