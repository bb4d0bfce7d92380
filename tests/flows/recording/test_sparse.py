"""Workspaces with outputs that are not on the disk, and entries that another host made."""

import shutil
from pathlib import Path

import pytest

from flows.recording.cache import RemoteError
from flows.recording.recorder import Recorder, open_workspace
from tasks.core.errors import FlowError
from tests.flows import toy

pytest_plugins = ["tests.flows.fixtures"]


@pytest.fixture(scope="module")
def released(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `store`, the remote, `near`, where everything was run, and `far`, a clone without any output."""
    folder = tmp_path_factory.mktemp("released")
    near, far = folder / "near", folder / "far"
    shutil.copytree(template, near, symlinks=True)
    pipeline = near / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace(": {cache: false}", ": {cache: true}"))
    toy.shell(near, f"dvc remote add -q -d store {folder / 'store'} && dvc repro -q && dvc push -q && git add -A")
    toy.shell(near, "git -c user.name=toy -c user.email=toy@example.org commit -qm run && rm ran.txt")
    toy.shell(folder, f"git clone -q {near} {far}")
    return folder


@pytest.fixture
def far(released: Path, tmp_path: Path) -> Path:
    shutil.copytree(released, tmp_path / "all", symlinks=True)
    root = tmp_path / "all" / "far"
    toy.shell(root, f"dvc remote modify -q --local store url {tmp_path / 'all' / 'store'}")
    return root


def changed(recorder: Recorder) -> list[str]:
    return [i.address for i in recorder.graph.instances if recorder.changed(i.address)]


def files(root: Path) -> list[str]:
    """What is on the disk of the outputs."""
    return [path.relative_to(root / "data").as_posix() for path in root.glob("data/**/*.*") if path.name[0] != "."]


def test_without_any_output_on_the_disk_nothing_has_changed(far: Path) -> None:
    with open_workspace(far, sparse=True) as recorder:
        assert changed(recorder) == []
        assert recorder.unclean(recorder.graph.plan()) == {}
    assert files(far) == []
    with open_workspace(far) as recorder:
        assert set(changed(recorder)) == set(recorder.graph.by_address)


def test_a_changed_parameter_and_a_changed_code_file_are_seen_without_the_outputs(far: Path) -> None:
    toy.touch(far, "red: 2", "red: 20")
    with open_workspace(far, sparse=True) as recorder:
        assert changed(recorder) == ["scenes@red"]
    with (far / "work.py").open("a") as file:
        file.write("# edited\n")
    with open_workspace(far, sparse=True) as recorder:
        assert len(changed(recorder)) == len(recorder.graph.instances)


def test_an_instance_that_must_run_gets_its_inputs_and_no_more(far: Path) -> None:
    with open_workspace(far, sparse=True) as recorder:
        recorder.fetch("chips@red-a")
        assert (far / "data/scenes/red/items.txt").read_text().startswith("scenes.red: 2")
        assert files(far) == ["scenes/red/items.txt"]
        recorder.fetch("split")
    assert len(list((far / "data/chips").rglob("shard.txt"))) == 9


def test_a_sparse_walk_runs_what_changed_and_leaves_the_lock_that_repro_would(
    far: Path, walker: toy.Walker, released: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(released / "near", tmp_path / "other", symlinks=True))
    for root in (far, other):
        toy.touch(root, "red: 2", "red: 20")
    states = {o.address: o.state for o in walker(far, sparse=True)}
    toy.repro(other)
    assert {a for a, state in states.items() if state == "ran"} == set(toy.ran(other)) == set(toy.ran(far))
    assert toy.lock(far) == toy.lock(other)
    assert not (far / "data/chips/radar/a/shard.txt").exists() or states["split"] == "ran"


def test_an_instance_is_restored_though_what_it_depends_on_is_not_on_the_disk(far: Path, released: Path) -> None:
    before = toy.lock(far)
    shutil.copytree(released / "near/.dvc/cache/runs", far / ".dvc/cache/runs")  # as if this host had run it before
    with open_workspace(far, sparse=True) as recorder:
        assert recorder.restore("split")
        recorder.save("split")
    assert files(far) == ["split/all.txt"]
    assert toy.lock(far) == before


def test_a_remote_that_refuses_an_object_is_an_error_that_may_pass(far: Path) -> None:
    path = toy.an_object(far.parent / "store", "scenes.red: 2")
    path.unlink()
    path.symlink_to(path)  # whoever opens it gets an error that is not of a missing file
    with open_workspace(far, sparse=True) as recorder, pytest.raises(RemoteError, match="from the remote"):
        recorder.fetch("chips@red-a")


def test_a_damaged_object_on_the_remote_is_refused_by_name(far: Path) -> None:
    toy.flip(toy.an_object(far.parent / "store", "scenes.red: 2"))
    with open_workspace(far, sparse=True) as recorder, pytest.raises(FlowError) as failure:
        recorder.fetch("chips@red-a")
    assert "data/scenes/red/items.txt is damaged on the remote" in str(failure.value)
    assert not (far / "data/scenes/red").exists()
    assert not list((far / ".dvc/cache").rglob("*.tmp"))


def test_a_damaged_object_in_the_cache_is_thrown_out_and_fetched_again(
    far: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_workspace(far, sparse=True) as recorder:
        recorder.fetch("chips@red-a")
    shutil.rmtree(far / "data")
    toy.flip(toy.an_object(far / ".dvc/cache", "cenes.red: 2"))
    with open_workspace(far, sparse=True) as recorder:
        recorder.fetch("chips@red-a")
    assert (far / "data/scenes/red/items.txt").read_text().startswith("scenes.red: 2")
    assert "data/scenes/red/items.txt: object" in caplog.text and "is damaged; it was thrown out" in caplog.text


def test_what_neither_has_is_named(far: Path) -> None:
    toy.an_object(far.parent / "store", "scenes.red: 2").unlink()
    with (
        open_workspace(far, sparse=True) as recorder,
        pytest.raises(FlowError, match=r"items\.txt is neither in the cache nor on the remote"),
    ):
        recorder.fetch("chips@red-a")


def test_an_entry_made_elsewhere_is_recorded_as_it_would_have_been_here(far: Path, released: Path) -> None:
    whole = toy.lock(far)
    with open_workspace(released / "near") as there:
        entry = there.entry("train@1")
    with open_workspace(far, sparse=True) as recorder:
        assert recorder.drop(["train@1", "nothing"]) == ["train@1"]
        assert b"train@1" not in toy.lock(far) and changed(recorder) == ["train@1"]
        recorder.accept("train@1", entry)
        assert changed(recorder) == []
    assert toy.lock(far) == whole


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cmd: python work.py", "cmd: python  work.py", "its command is 'python  work.py"),
        ("width: 8", "width: 9", "parameter model of params.yaml differs"),
        ("path: data/split\n", "path: data/spilt\n", "data/spilt was"),
        ("path: data/train/1", "path: data/x", "output data/train/1 is missing; output data/x was not asked for"),
        ("- path: data/train/1\n", "- path: data/train/1\n  md5: ../../x\n", "stands there twice"),
        ("outs:", "deps:", "'deps' stands there twice"),
        ("cmd: ", "cmd: &a ", None),
    ],
)  # fmt: skip
def test_an_entry_of_something_else_is_refused_and_changes_nothing(
    old: str, new: str, message: str | None, far: Path
) -> None:
    before = toy.lock(far)
    with open_workspace(far, sparse=True) as recorder:
        entry = recorder.entry("train@1")
        assert old in entry
        recorder.drop(["train@1"])
        try:
            recorder.accept("train@1", entry.replace(old, new))
        except FlowError as error:
            assert message is not None and message in str(error)
            assert changed(recorder) == ["train@1"] and b"train@1" not in toy.lock(far)
        else:
            assert message is None and toy.lock(far) == before


def test_an_entry_with_another_hash_of_a_dependency_is_refused(far: Path) -> None:
    with open_workspace(far, sparse=True) as recorder:
        entry = recorder.entry("train@1")
        digest = entry.split("path: data/split\n")[1].split("md5: ")[1][:32]
        with pytest.raises(FlowError, match=rf"data/split was 0{{32}}\.dir there, and is {digest}\.dir here"):
            recorder.accept("train@1", entry.replace(digest, "0" * 32))
        with pytest.raises(FlowError, match="has no hash: md5 must be 32 hexadecimal digits"):
            recorder.accept("train@1", entry.replace(digest, "../../../../etc"))
