"""How much of a host without GPUs an instance takes."""

from pathlib import Path

import pytest
import yaml

from flows.gpu.devices import threads_of
from flows.gpu.leases import leased, processors

PARAMS = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())


@pytest.mark.parametrize("stage", ["train", "moe", "evaluate", "frozen", "forgetting", "routing"])
def test_a_stage_of_the_demo_takes_one_processor_so_that_others_train_beside_it(stage: str) -> None:
    assert threads_of(stage, PARAMS) == 1


def test_a_larger_preset_and_a_stage_that_says_nothing_take_all() -> None:
    large = PARAMS | {"model": PARAMS["model"] | {"preset": "4b"}}
    assert threads_of("train", large) == 0
    assert threads_of("moe", PARAMS | {"moe": PARAMS["moe"] | {"model": {"preset": "1b"}}}) == 0
    assert threads_of("qa", PARAMS) == 0


def test_two_runs_hold_a_processor_each_and_are_given_no_gpu(tmp_path: Path) -> None:
    two = ("cpu-0", "cpu-1")
    assert processors()[0] == "cpu-0"
    with leased(tmp_path, "train@1", two, 1) as one, leased(tmp_path, "moe@1", two, 1) as other:
        assert {*one.devices, *other.devices} == set(two)
        assert not any("CUDA_VISIBLE_DEVICES" in lease.environment for lease in (one, other))
