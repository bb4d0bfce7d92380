"""A disk that refuses is named, in one sentence, with what to do."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.errors import StorageError
from tasks.core.stage import atomic, storage_errors


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a disk takes rights that this user has not")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_named_as_the_one_that_was_written_to_and_nothing_stands_half_under_its_name(disk: Path) -> None:
    out = disk / "a" / "table.bin"
    with pytest.raises(StorageError, match=rf"no space left.* under {disk}"), storage_errors(), atomic(out) as partial:
        partial.write_bytes(bytes(2_000_000))
    assert not out.exists() and list(out.parent.iterdir()) == []


def test_a_disk_that_cannot_be_written_to_is_named(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    out = disk / "table.bin"
    with (
        pytest.raises(StorageError, match=rf"{disk} is on a disk that cannot be written to"),
        storage_errors(),
        atomic(out) as partial,
    ):
        partial.write_bytes(b"x")


def test_an_error_of_another_kind_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="odd") as caught, storage_errors():
        raise OSError(errno.EIO, "odd")
    assert not isinstance(caught.value, StorageError)
