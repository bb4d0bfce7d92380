"""The DVC remote asked object by object: what is there is there, and what is not is named."""

import shutil
from pathlib import Path

import pytest
import yaml

from flows.recording.cache import RemoteError
from flows.versions.remote import Remote, opened, outs_of
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


@pytest.fixture
def store(done: Path, tmp_path: Path) -> Path:
    """Folder of the project's remote."""
    folder = tmp_path / "store"
    toy.shell(done, f"dvc remote add -q --default store {folder}")
    return folder


def objects(root: Path, remote: Remote, address: str = "chips@red-a") -> dict[str, str]:
    entry = yaml.safe_load((root / "dvc.lock").read_text())["stages"][address]
    return remote.objects(outs_of(entry, [out["path"] for out in entry["outs"]]))


def test_outputs_are_pushed_with_all_files_of_their_folders_and_found_there(done: Path, store: Path) -> None:
    with opened(done) as remote:
        mine = objects(done, remote)
        assert "data/chips/red/a/shard.txt" in mine.values()
        assert remote.absent(mine) == sorted(mine.values())
        assert remote.push(mine) == []
        assert remote.absent(mine) == []


def test_an_object_that_vanished_from_the_remote_is_missed_and_pushed_again(done: Path, store: Path) -> None:
    with opened(done) as remote:
        mine = objects(done, remote)
        remote.push(mine)
        md5 = next(md5 for md5, path in mine.items() if path.endswith("shard.txt"))
        (store / "files/md5" / md5[:2] / md5[2:]).unlink()
        assert remote.absent(mine) == ["data/chips/red/a/shard.txt"]
        assert remote.push(mine) == []
        assert remote.absent(mine) == []


def test_what_is_neither_in_the_cache_nor_on_the_remote_is_named_and_the_rest_pushed(done: Path, store: Path) -> None:
    with opened(done) as remote:
        mine = objects(done, remote)
        md5 = next(md5 for md5, path in mine.items() if path.endswith("shard.txt"))
        (done / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
        assert remote.push(mine) == ["data/chips/red/a/shard.txt"]


def test_a_remote_that_cannot_be_written_is_an_error_that_may_pass(done: Path, store: Path) -> None:
    store.write_text("a file where the folder should be")
    with opened(done) as remote, pytest.raises(RemoteError, match=r"pushing|asking"):
        remote.push(objects(done, remote))


def test_a_project_without_a_remote_says_how_to_name_one(done: Path) -> None:
    with pytest.raises(FlowError, match="EARTHLOOM_REMOTE"), opened(done):
        pass


def test_small_objects_beside_the_data_are_written_whole_and_read_back(done: Path, store: Path) -> None:
    with opened(done) as remote:
        assert remote.read("entries", "x.yaml") is None
        remote.write(b"one", "entries", "x.yaml")
        remote.write(b"two", "entries", "x.yaml")
        assert remote.read("entries", "x.yaml") == b"two"
        assert [path.name for path in (store / "earthloom/entries").iterdir()] == ["x.yaml"]
        (store / "earthloom/entries/x.yaml").write_bytes(bytes(5_000_000))
        with pytest.raises(RemoteError, match="larger"):
            remote.read("entries", "x.yaml")


def test_the_list_of_a_folders_files_is_read_from_the_remote_where_the_cache_has_none(done: Path, store: Path) -> None:
    with opened(done) as remote:
        mine = objects(done, remote)
        remote.push(mine)
        shutil.rmtree(done / ".dvc/cache")
        assert objects(done, remote) == mine
