"""Checkpoints on a remote, a folder or an S3 server: what goes there, what comes back, and what does not."""

import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from dvc.fs import FileSystem, LocalFileSystem
from dvc_s3 import S3FileSystem  # type: ignore[import-untyped]

from flows.gpu.checkpoints import Checkpoints, key_of
from flows.services import store
from flows.services.secrets import load
from flows.services.settings import STORE_PORTS, Settings
from flows.versions.remote import opened
from tests.flows import toy
from tests.flows.services.stack import free_ports

KEY = key_of("0" * 40, "train@1", {"data/mixture/1": "d41d8c"})
MARKER = "a" * 32


@dataclass(frozen=True)
class Remote:
    """What DVC has of one, and the folder in which its checkpoints lie."""

    fs: FileSystem
    path: str
    folder: Path


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    """A folder."""
    return Remote(LocalFileSystem(), str(tmp_path / "remote"), tmp_path / "remote" / "checkpoints" / KEY)


def travelling(work: Path, remote: Remote, key: str = KEY) -> Checkpoints:
    """Those of a work folder, looked at often."""
    return Checkpoints(work, remote.fs, remote.path, key, poll=0.01)


def write(work: Path, step: int, marker: str = MARKER) -> Path:
    """A checkpoint as training leaves it."""
    work.mkdir(parents=True, exist_ok=True)
    (work / "fingerprint").write_text(marker)
    place = work / f"step-{step:08d}"
    partial = work / f".{place.name}"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(bytes([step % 256]) * 5000)
    (partial / "optimizer.safetensors").write_bytes(b"momentum" * step)
    (partial / "progress.json").write_text(json.dumps({"step": step}))
    return partial.rename(place)


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.002)


def send(work: Path, remote: Remote, *steps: int) -> None:
    """Train: each step is waited for until it is on the remote."""
    with travelling(work, remote).watch():
        for step in steps:
            name = write(work, step).name
            wait(lambda name=name: (remote.folder / name / "manifest.json").is_file())  # type: ignore[misc]


def files(folder: Path) -> dict[str, bytes]:
    """All that a checkpoint holds."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}


def test_a_checkpoint_goes_to_the_remote_and_comes_back_on_another_host(remote: Remote, tmp_path: Path) -> None:
    send(tmp_path / "here", remote, 3)
    there = tmp_path / "there"
    assert travelling(there, remote).restore() == 3
    assert (there / "fingerprint").read_text() == MARKER
    assert files(there / "step-00000003") == files(tmp_path / "here" / "step-00000003")
    assert travelling(there, remote).restore() is None  # it is there already
    assert travelling(tmp_path / "other", remote, key_of("1" * 40, "train@1", {})).restore() is None


def test_the_last_one_is_sent_when_the_command_has_ended_in_failure(remote: Remote, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError), travelling(tmp_path / "w", remote).watch():
        write(tmp_path / "w", 7)
        raise InterruptedError
    assert travelling(tmp_path / "new", remote).restore() == 7


def test_two_are_kept_and_none_after_the_outputs_are_pushed(remote: Remote, tmp_path: Path) -> None:
    send(tmp_path / "w", remote, 1, 2, 3, 4)
    assert sorted(path.name for path in remote.folder.iterdir()) == ["step-00000003", "step-00000004"]
    travelling(tmp_path / "w", remote).clear()
    assert not remote.folder.exists() or not list(remote.folder.iterdir())


def test_those_of_other_inputs_give_way_to_the_new_ones(remote: Remote, tmp_path: Path) -> None:
    send(tmp_path / "w", remote, 50)
    shutil.rmtree(tmp_path / "w")
    with travelling(tmp_path / "w", remote).watch():
        write(tmp_path / "w", 4, "b" * 32)
    assert [path.name for path in remote.folder.iterdir()] == ["step-00000004"]
    write(tmp_path / "stale", 90, "c" * 32)
    assert travelling(tmp_path / "stale", remote).restore() == 4
    assert not (tmp_path / "stale" / "step-00000090").exists()


def flip(path: Path) -> None:
    """One bit of a file."""
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))


def replace(key: str, value: object) -> Callable[[Path], None]:
    """Another value in the entry of the weights."""

    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"]["model.safetensors"][key] = value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


def named(name: str) -> Callable[[Path], None]:
    """A file of that name besides."""

    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][name] = manifest["files"]["model.safetensors"]
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "it is not whole"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is not a manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 50_000), "is not a manifest"),
        (lambda folder: (folder / "manifest.json").write_text(" " * 70_000), "is larger than"),
        (lambda folder: (folder / "optimizer.safetensors").unlink(), "optimizer.safetensors has None bytes"),
        (lambda folder: flip(folder / "model.safetensors"), "does not hold what was written"),
        (replace("size", 10**18), "has 5000 bytes"),
        (replace("size", True), "no size and hash"),
        (replace("blake2b", "../x"), "no size and hash"),
        (named("optimizer.pt"), "a file that no checkpoint has"),
        (named("../../outside.json"), "a file that no checkpoint has"),
        (named("/etc/outside.json"), "a file that no checkpoint has"),
    ],
)
def test_a_damaged_one_is_named_and_the_one_before_taken(
    damage: Callable[[Path], None], said: str, remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    send(tmp_path / "w", remote, 1, 2)
    damage(remote.folder / "step-00000002")
    with caplog.at_level(logging.WARNING):
        assert travelling(tmp_path / "new", remote).restore() == 1
    assert "step-00000002 on the remote is passed over" in caplog.text
    assert said in caplog.text
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["fingerprint", "step-00000001"]


def test_a_remote_that_is_away_is_a_warning_and_is_tried_again(
    remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = tmp_path / "remote"
    away.write_text("a file where the remote's folder should be")
    with caplog.at_level(logging.WARNING), travelling(tmp_path / "w", remote).watch():
        write(tmp_path / "w", 5)
        wait(lambda: "could not be sent" in caplog.text)
        away.unlink()
        wait(lambda: (remote.folder / "step-00000005" / "manifest.json").is_file())
    assert travelling(tmp_path / "new", remote).restore() == 5


def test_a_remote_that_stays_away_ends_nothing(
    remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "remote").write_text("a file where the remote's folder should be")
    lost = travelling(tmp_path / "w", remote)
    with caplog.at_level(logging.WARNING):
        assert lost.restore() is None
        with lost.watch():
            write(tmp_path / "w", 5)
        lost.clear()
    assert "could not be sent" in caplog.text
    assert (tmp_path / "w" / "step-00000005").is_dir()


def test_a_run_that_removes_its_checkpoints_meanwhile_disturbs_nothing(
    remote: Remote, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = tmp_path / "w"
    with caplog.at_level(logging.WARNING), travelling(work, remote).watch():
        for step in range(1, 60):
            old = work / f"step-{step - 1:08d}"
            write(work, step)
            shutil.rmtree(old, ignore_errors=True)
    assert caplog.text == ""
    assert travelling(tmp_path / "new", remote).restore() == 59


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[FileSystem, str]]:
    """A bucket of the store that `make up` starts, as DVC opens it."""
    if not ((Path(sys.executable).parent / "weed").is_file() or shutil.which("weed")):
        pytest.skip("SeaweedFS is not installed: make .venv/.services")
    folder = tmp_path / "services"
    folder.mkdir()
    settings, secrets = Settings(store_port=free_ports(STORE_PORTS)), load(folder)
    store.start(folder, settings, secrets)
    try:
        yield (
            S3FileSystem(
                endpointurl=f"http://127.0.0.1:{settings.s3_port}",
                access_key_id=secrets.access_key,
                secret_access_key=secrets.secret_key,
                region="us-east-1",
            ),
            f"{store.BUCKET}/dvc",
        )
    finally:
        store.stop(folder)


@pytest.mark.slow
def test_what_another_host_has_put_into_a_bucket_is_seen_by_one_that_had_looked_before(
    bucket: tuple[FileSystem, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.make(tmp_path / "project")
    toy.repro(tmp_path / "project", "scenes@red")
    fs, root = bucket
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", fs.fs.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", fs.fs.secret)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    config = f"dvc remote add -q --default store s3://{root}"
    toy.shell(
        tmp_path / "project",
        f"{config} && dvc remote modify -q store endpointurl {fs.fs.client_kwargs['endpoint_url']}",
    )
    shutil.copytree(tmp_path / "project", tmp_path / "other", symlinks=True)
    with opened(tmp_path / "project") as caller, opened(tmp_path / "other") as worker:
        lock = yaml.safe_load((tmp_path / "project/dvc.lock").read_text())["stages"]["scenes@red"]
        made = caller.objects(
            {out["path"]: out["md5"] for out in lock["outs"] if out["path"].startswith("data/scenes")}
        )
        assert caller.read("entries", "x.yaml") is None and caller.absent(made) == sorted(made.values())
        worker.push(made)
        worker.write(b"entry", "entries", "x.yaml")
        assert caller.read("entries", "x.yaml") == b"entry"
        assert caller.absent(made) == []


@pytest.mark.slow
def test_an_s3_bucket_does_as_well(bucket: tuple[FileSystem, str], tmp_path: Path) -> None:
    fs, root = bucket
    for step in (1, 2, 3):
        with Checkpoints(tmp_path / "w", fs, root, KEY).watch():
            write(tmp_path / "w", step)
    there = Checkpoints(tmp_path / "there", fs, root, KEY)
    assert there.restore() == 3
    assert files(tmp_path / "there" / "step-00000003") == files(tmp_path / "w" / "step-00000003")
    there.clear()
    assert Checkpoints(tmp_path / "new", fs, root, KEY).restore() is None
