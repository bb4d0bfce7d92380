"""The walk on a toy project: what runs, what is taken from the cache, what happens when an instance fails."""

import shutil
import threading
from pathlib import Path

import pytest

from flows.recording.recorder import open_workspace
from flows.walking.preview import preview
from tasks.core.errors import FlowError
from tests.flows import toy
from tests.flows.toy import Walker

pytest_plugins = ["tests.flows.fixtures"]


def test_deleted_outputs_come_back_without_a_run(done: Path, walker: Walker) -> None:
    before = toy.lock(done)
    shutil.rmtree(done / "data")
    states = {o.address: o.state for o in walker(done)}
    assert set(states.values()) == {"restored"}
    assert toy.ran(done) == []
    assert toy.lock(done) == before
    assert (done / "data/summary/chips@red-a.json").is_file()


def test_going_back_to_a_parameter_takes_the_old_result_from_the_run_cache(done: Path, walker: Walker) -> None:
    before = toy.lock(done)
    toy.touch(done, "red: 2", "red: 20")
    walker(done, "scenes")
    assert toy.ran(done) == ["scenes@red"]
    toy.touch(done, "red: 20", "red: 2")
    states = {o.address: o.state for o in walker(done)}
    assert {a for a, s in states.items() if s == "restored"} == {"scenes@red"}
    assert toy.ran(done) == []
    assert toy.lock(done) == before


def test_a_lost_lock_is_rebuilt_from_the_run_cache(done: Path, walker: Walker) -> None:
    before = toy.lock(done)
    (done / "dvc.lock").unlink()
    walker(done)
    assert toy.ran(done) == []
    assert toy.lock(done) == before


def test_a_forced_instance_runs_and_its_dependents_do_not_if_it_made_the_same(done: Path, walker: Walker) -> None:
    states = {o.address: o.state for o in walker(done, force=["scenes"])}
    assert sorted(toy.ran(done)) == ["scenes@blue", "scenes@radar", "scenes@red"]
    assert states["chips@red-a"] == "cached"


def test_a_failed_instance_stops_only_what_needs_it(project: Path, walker: Walker) -> None:
    toy.order(project, "chips@red-b", "exit 2")
    with pytest.raises(FlowError) as failure:
        walker(project)
    message = str(failure.value)
    assert "chips@red-b: exit code 2: was told to fail" in message
    assert "Skipped, because they need one of these: split, train@1, train@2." in message
    assert "run the same command again" in message
    # Wrong parameters are wrong the next time, too: `chips` reads a catalog, but this was not tried again.
    assert toy.ran(project).count("chips@red-b") == 1

    (project / "orders" / "chips@red-b").unlink()
    states = {o.address: o.state for o in walker(project)}
    assert sorted(toy.ran(project)) == ["chips@red-b", "split", "train@1", "train@2"]
    assert states["chips@red-a"] == "cached"


@pytest.mark.parametrize(
    ("address", "code", "tries"),
    [("scenes@red", 1, 2), ("scenes@red", 2, 1), ("check", 1, 1), ("check", 75, 2)],
    ids=[
        "catalogs are tried again",
        "wrong parameters are not",
        "other stages are not",
        "rescheduled ones are",
    ],
)
def test_what_is_tried_again(address: str, code: int, tries: int, project: Path, walker: Walker) -> None:
    toy.order(project, address, f"once {code}")
    if tries == 1:
        with pytest.raises(FlowError, match=f"{address}: exit code {code}"):
            walker(project, address)
    else:
        walker(project, address)
    assert toy.ran(project) == [address] * tries


def test_an_input_that_changes_under_a_running_command_is_not_recorded(project: Path, walker: Walker) -> None:
    toy.order(project, "check", "sleep")

    def edit() -> None:
        toy.wait_for(project / "sleeping")
        with (project / "work.py").open("a") as file:
            file.write("# edited\n")
        toy.release(project, "check")

    editor = threading.Thread(target=edit)
    editor.start()
    with pytest.raises(FlowError, match="a dependency was changed while the command ran"):
        walker(project, "check")
    editor.join()
    assert not (project / "dvc.lock").exists()


def test_a_command_that_does_not_make_its_output_fails_with_its_name(project: Path, walker: Walker) -> None:
    toy.order(project, "check", "exit 0")
    with pytest.raises(FlowError, match=r"check: .*data/check\.json.* does not exist"):
        walker(project, "check")


def test_a_dry_run_says_what_is_known_and_changes_nothing(done: Path) -> None:
    before = toy.lock(done)
    toy.touch(done, "red: 2", "red: 20")
    with open_workspace(done) as recorder:
        states = {o.address: o.state for o in preview(recorder, recorder.graph.plan())}
    assert states["scenes@red"] == "to run"
    assert states["chips@red-a"] == states["train@2"] == "may run"
    assert states["chips@blue-a"] == "cached"
    assert toy.lock(done) == before and toy.ran(done) == []


def test_many_instances_saved_side_by_side_lose_nothing(tmp_path: Path, template: Path, walker: Walker) -> None:
    root = Path(shutil.copytree(template, tmp_path / "many"))
    letters = ", ".join(f"p{n}" for n in range(6))
    toy.touch(root, "parts: [a, b, c]", f"parts: [{letters}]")
    outcomes = walker(root, "chips", jobs=16)
    assert {o.state for o in outcomes} == {"ran"} and len(outcomes) == 21
    assert len((root / "data/chips/red/.gitignore").read_text().split()) == 6
    assert toy.shell(root, "dvc status chips").strip().endswith("up to date.")
