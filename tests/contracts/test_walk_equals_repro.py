"""The two engines agree: a walk and `dvc repro` run the same instances and leave the same dvc.lock."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.flows import toy
from tests.flows.toy import Walker

pytest_plugins = ["tests.flows.fixtures"]


def test_from_scratch_both_leave_the_same_bytes_and_then_run_nothing(
    project: Path, reproduced: Path, walker: Walker
) -> None:
    outcomes = walker(project, jobs=8)
    assert {o.state for o in outcomes} == {"ran"}
    assert toy.lock(project) == toy.lock(reproduced)
    ignored = (project / "data/scenes/.gitignore").read_text().split()
    assert sorted(ignored) == ["/blue", "/radar", "/red"]

    toy.ran(project)
    assert {o.state for o in walker(project)} == {"cached"}
    toy.repro(project)
    assert toy.ran(project) == []
    assert toy.lock(project) == toy.lock(reproduced)


def test_two_walks_from_scratch_leave_the_same_bytes_one_by_one_or_side_by_side(
    template: Path, tmp_path: Path, walker: Walker
) -> None:
    locks = []
    for jobs in (1, 8):
        root = Path(shutil.copytree(template, tmp_path / str(jobs), symlinks=True))
        walker(root, "chips", jobs=jobs)
        locks.append(toy.lock(root))
    assert locks[0] == locks[1]


def test_after_repro_a_walk_runs_nothing(done: Path, walker: Walker) -> None:
    before = toy.lock(done)
    assert {o.state for o in walker(done)} == {"cached"}
    assert toy.ran(done) == []
    assert toy.lock(done) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [("red: 2", "red: 20"), ("parts: [a, b, c]", "parts: [a, d]")],
    ids=["a value", "the matrix"],
)
def test_a_changed_parameter_runs_the_same_instances_in_both(
    old: str, new: str, done: Path, tmp_path: Path, walker: Walker
) -> None:
    other = Path(shutil.copytree(done, tmp_path / "other", symlinks=True))
    for root in (done, other):
        toy.touch(root, old, new)
    _both(done, other, walker)
    assert yaml.safe_load(toy.lock(done)) == yaml.safe_load(toy.lock(other))
    if "parts" not in old:
        # A new instance is appended by DVC, and put where dvc.yaml has it by a walk.
        assert toy.lock(done) == toy.lock(other)


def test_a_walk_to_a_target_runs_what_repro_would(
    project: Path, template: Path, tmp_path: Path, walker: Walker
) -> None:
    other = Path(shutil.copytree(template, tmp_path / "other", symlinks=True))
    assert _both(project, other, walker, "chips@red-b") == ["chips@red-b", "scenes@red"]
    assert toy.lock(project) == toy.lock(other)


def _both(mine: Path, theirs: Path, walker: Walker, *targets: str) -> list[str]:
    """Walk one project while `dvc repro` runs the other; what both ran."""
    with ThreadPoolExecutor(1) as beside:
        repro = beside.submit(toy.repro, theirs, *targets)
        walker(mine, *targets)
        repro.result()
    ran = sorted(toy.ran(mine))
    assert ran == sorted(toy.ran(theirs))
    return ran
