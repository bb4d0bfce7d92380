"""DVC's cache as many workspaces share it: wrong bytes never leave it, and two that write it at once do not harm it."""

import hashlib
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows.recording.cache import Objects
from flows.recording.recorder import open_workspace
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]
RED = "scenes.red: 2"


def objects(cache: Path) -> dict[str, str]:
    """Hash of each object's bytes by the hash that it is named by."""
    found = [path for path in (cache / "files/md5").rglob("*") if path.is_file()]
    return {
        (path.parent.name + path.name).removesuffix(".dir"): hashlib.md5(path.read_bytes()).hexdigest()
        for path in found
    }


def test_an_object_with_a_flipped_bit_is_thrown_out_by_name_and_its_command_runs(
    done: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(done / "data")
    damaged = toy.an_object(done / ".dvc/cache/files", RED)
    toy.flip(damaged)
    with open_workspace(done) as recorder:
        assert recorder.restore("scenes@blue")
        assert not recorder.restore("scenes@red")
    assert "data/scenes/red/items.txt: object" in caplog.text and "is damaged; it was thrown out" in caplog.text
    assert not damaged.exists() and not (done / "data/scenes/red").exists()
    assert (done / "data/scenes/blue/items.txt").is_file()


def test_it_is_fetched_again_where_a_remote_has_it(done: Path, tmp_path: Path) -> None:
    before = toy.lock(done)
    toy.shell(done, f"dvc remote add -q -d store {tmp_path / 'store'} && dvc push -q")
    shutil.rmtree(done / "data")
    toy.flip(toy.an_object(done / ".dvc/cache/files", RED))
    with open_workspace(done) as recorder:
        assert recorder.restore("scenes@red")
        recorder.save("scenes@red")
    assert (done / "data/scenes/red/items.txt").read_text().startswith(RED)
    assert toy.lock(done) == before
    assert all(name == digest for name, digest in objects(done / ".dvc/cache").items())


def test_an_object_that_is_there_is_not_written_again_and_a_new_one_appears_whole(done: Path) -> None:
    with Repo(str(done)) as repo:
        store = Objects(repo)
        for stage in repo.index.stages:
            for out in stage.outs:
                out.save()
                if out.use_cache:
                    path = Path(repo.cache.local.oid_to_path(out.hash_info.value))
                    before = path.stat()
                    store.put(out)
                    after = path.stat()
                    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
                    path.unlink()
                    store.put(out)
                    assert path.stat().st_mode & 0o777 == 0o444
    assert all(name == digest for name, digest in objects(done / ".dvc/cache").items())
    assert not list((done / ".dvc/cache").rglob("*.tmp"))


def test_two_walks_at_once_with_one_cache_both_complete_and_leave_it_whole(
    template: Path, reproduced: Path, tmp_path: Path, server: str
) -> None:
    cache = tmp_path / "cache"
    roots = [Path(shutil.copytree(template, tmp_path / name, symlinks=True)) for name in ("one", "two")]
    for root in roots:
        toy.shell(root, f"dvc cache dir -q {cache} && dvc config cache.type hardlink,copy")
    walks = [toy.start(root, server) for root in roots]
    for walk in walks:
        output, _ = walk.communicate(timeout=toy.PATIENCE)
        assert walk.returncode == 0, output
    found = objects(cache)
    assert found and all(name == digest for name, digest in found.items())
    for root in roots:
        assert toy.lock(root) == toy.lock(reproduced)
        assert (root / "data/split/all.txt").read_bytes() == (reproduced / "data/split/all.txt").read_bytes()
    # Both may have made it at once: then the object is a link to the file of the first, and the other has its own.
    assert max((root / "data/split/all.txt").stat().st_nlink for root in roots) > 1
