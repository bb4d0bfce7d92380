"""A dataset that grows: what a rebuild reads is what is new, and shards of unchanged scenes keep their bytes."""

from pathlib import Path

import pytest

from tasks.core.fan_out import WORKERS
from tasks.core.results import VARIABLE
from tests.fixtures.made_region import Dataset, made_region

SCENES, SHARD = 16, 8


def test_a_scene_that_is_new_withdrawn_or_made_again_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    with made_region(SCENES) as (region, served):
        data = Dataset(tmp_path / "one", served, region, SHARD, ("a", "b"))
        read, first = data.rebuild()
        assert read == SCENES and len(first) > 2
        assert data.rebuild() == (0, first), "nothing is new"

        region.add(SCENES, served.url)
        read, grown = data.rebuild()
        assert read == 1
        assert len(first.items() - grown.items()) <= 1 and len(grown.items() - first.items()) <= 2

        region.add(7, served.url, level=0.05)
        read, renewed = data.rebuild()
        assert read == 1
        assert grown.keys() == renewed.keys() and len(grown.items() - renewed.items()) == 1

        region.add(7, served.url)
        region.withdraw(SCENES)
        assert data.rebuild() == (0, first), "another workspace's and another day's results are here"

        other = Dataset(tmp_path / "two", served, region, SHARD, ("a", "b"))
        assert other.rebuild() == (0, first)


def test_shards_have_the_same_bytes_with_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    with made_region(4) as (region, served):
        for workers in ("0", "3"):
            monkeypatch.setenv(VARIABLE, str(tmp_path / f"cache-{workers}"))
            monkeypatch.setenv(WORKERS, workers)
            read, shards = Dataset(tmp_path / workers, served, region, SHARD, ("a",)).rebuild()
            assert read == 4
            found.append(shards)
    assert found[0] == found[1] and found[0]
