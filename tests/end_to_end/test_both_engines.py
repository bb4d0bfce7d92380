"""The real graph, from the scenes to the split, run twice from nothing, by either engine: the same lock."""

from pathlib import Path

import pytest
import yaml

from tests.fixtures import checkout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_runs_from_nothing_by_repro_and_by_the_flow_leave_the_same_hashes(tmp_path: Path) -> None:
    locks = []
    for module in (
        ("dvc", "repro", "-q", "split"),
        ("earthloom", "flow", "build", "--targets", "split", "--jobs", "2"),
    ):
        root = checkout.make(tmp_path / module[0])
        checkout.run(root, *module)
        assert list((root / "data/chips").rglob("shard-*.parquet")), "no chip was made"
        # DVC writes entries as they are done, a flow in dvc.yaml's order: what they say must be the same.
        locks.append(yaml.safe_load((root / "dvc.lock").read_text()))
    assert locks[0] == locks[1]
