"""tasks/moe.py: RS-MoE's two stages as commands, killed in the middle, and what each leaves alone."""

import contextlib
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch import Tensor

from models.rsmoe.prompt import EXPERTS
from tasks import mixture, moe, routing, stats, subtasks, tokenizer
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, ParamsError
from tasks.core.stage import read_json, write_json
from tests.fixtures.small_dataset import ROOT, write_dataset, write_params

SENSORS = ["sentinel-2", "sentinel-1"]
STEPS = 12
SHORT = {
    "batch": 2, "max_length": 512, "checkpoint_every": 2, "log_every": 1, "eval_every": 6, "eval_samples": 8,
    "eval_answers": 0,
}  # fmt: skip


def prepare(folder: Path) -> Path:
    """A dataset ready for both stages, `STEPS` long each."""
    write_dataset(folder, 16, tuple(SENSORS))
    stages = {f"stage{stage}": {"max_steps": STEPS} for stage in (1, 2)}
    write_params(
        folder, SENSORS, moe={"common": SHORT, **stages}, routing={"units": 24, "examples": 2, "bootstrap": 100}
    )
    with contextlib.chdir(folder):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        mixture.run("3")
        subtasks.run()
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on which both stages were trained, and the experts were asked."""
    folder = prepare(tmp_path_factory.mktemp("moe"))
    with contextlib.chdir(folder):
        moe.run("1")
        write_json(paths.summary("moe@2"), moe.run("2"))
        routing.run()
    return folder


def weights(folder: Path, stage: str) -> dict[str, Tensor]:
    """Tensors of a stage's checkpoint."""
    from safetensors.torch import load_file

    return load_file(folder / paths.moe(stage) / "model.safetensors")


def outputs(folder: Path, stage: str) -> dict[str, bytes]:
    """Every byte that a stage has written."""
    return {path.name: path.read_bytes() for path in sorted((folder / paths.moe(stage)).iterdir())}


def command(folder: Path, stage: str, **environment: str) -> "subprocess.Popen[str]":
    """`python -m tasks.moe --stage N`, started."""
    return subprocess.Popen(
        [sys.executable, "-m", "tasks.moe", "--stage", stage],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(folder: Path, stage: str) -> list[dict[str, str]]:
    """log.csv of a stage."""
    return list(csv.DictReader((folder / paths.moe(stage) / "log.csv").read_text().splitlines()))


def test_both_stages_learn(trained: Path) -> None:
    first, second = rows(trained, "1"), rows(trained, "2")
    assert float(first[-1]["val_loss"]) < 0.9 * float(first[0]["val_loss"])
    assert float(second[-1]["val_loss"]) < float(second[0]["val_loss"])


def test_stage_2_trains_router_and_experts_alone_and_leaves_the_rest_bit_by_bit(trained: Path) -> None:
    before, after = weights(trained, "1"), weights(trained, "2")
    assert all(before[name].equal(after[name]) for name in before)
    fresh = set(after) - set(before)
    assert fresh and all(name.startswith("router.") or ".lora_" in name for name in fresh)
    assert any(bool(after[name].any()) for name in fresh if name.endswith("lora_B"))
    adapters = [after[name] for name in fresh if name.endswith("lora_B")]
    assert any(not tensor[0].equal(tensor[1]) for tensor in adapters), "experts have grown apart"
    summary = read_json(trained / paths.summary("moe@2"))
    assert summary["trained_parameters"] == sum(after[name].numel() for name in fresh)


def test_the_experts_of_a_checkpoint_have_the_names_and_prompts_that_its_configuration_says(trained: Path) -> None:
    config = read_json(trained / paths.moe("2") / "config.json")
    assert config["experts"] == list(EXPERTS) and len(set(config["templates"])) == len(EXPERTS)
    assert read_json(trained / paths.moe("1") / "config.json")["experts"] == []


def test_killed_in_the_middle_the_same_command_goes_on_to_the_very_same_weights(trained: Path, tmp_path: Path) -> None:
    stage = "2"
    folder = tmp_path / "killed"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("moe@*"))
    shutil.rmtree(folder / paths.moe(stage))
    killed = command(folder, stage)
    checkpoint = folder / f".earthloom/work/moe@{stage}/step-00000004"
    while not checkpoint.exists() and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL and not (folder / paths.moe(stage)).exists()
    again = command(folder, stage)
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    assert "going on after step" in errors
    assert outputs(folder, stage) == outputs(trained, stage)


def test_two_processes_train_the_experts_as_one_does(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "two"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("moe@*"))
    shutil.rmtree(folder / paths.moe("2"))
    both = command(folder, "2", EARTHLOOM_PROCESSES="2")
    _, errors = both.communicate()
    assert both.returncode == 0, errors
    one, other = weights(trained, "2"), weights(folder, "2")
    assert one.keys() == other.keys()
    assert all((one[name] - other[name]).abs().max() < 1e-4 for name in one)


def test_routing_says_whose_texts_each_expert_predicts_and_what_a_swap_costs(trained: Path) -> None:
    found = read_json(trained / paths.routing() / "routing.json")
    table = tables.read(trained / paths.routing() / "routing.parquet")
    assert table.num_rows == found["units"] <= 24
    for row in table.to_pylist():
        assert len(row["losses"]) == len(row["weights"]) == len(EXPERTS)
        assert sum(row["weights"]) == pytest.approx(1, abs=1e-5)
        # A mixture is at least as sure as its surest expert is, less the logarithm of that one's weight.
        assert min(row["losses"]) - 1e-3 <= row["mixed"] + 0.0 or row["tokens"] > 1
    assert {"rule", "router", "likeliest", "uniform", "random", "swapped"} == set(found["routings"])
    low, high = found["routings"]["swapped"]["cost_interval"]
    assert low <= found["routings"]["swapped"]["cost"] <= high
    assert len(found["examples"]) == 2 and all(len(one["texts"]) == 3 for one in found["examples"])
    assert found["collapse"]["collapsed"] in (True, False)


def test_experts_that_are_all_one_are_said_to_have_collapsed(trained: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "collapsed"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("moe@*"))
    path = folder / paths.moe("2") / "model.safetensors"
    tensors = weights(trained, "2")
    for name in tensors:
        if ".lora_" in name:
            tensors[name] = tensors[name][:1].expand_as(tensors[name]).contiguous()
    path.unlink()
    save_file(tensors, path, metadata={"format": "pt"})
    config = (folder / paths.moe("2") / "config.json").read_text()
    names = read_json(folder / paths.moe("2") / "config.json")["templates"]
    for text in names[1:]:
        config = config.replace(text, names[0])
    (folder / paths.moe("2") / "config.json").write_text(config.replace('"router": "trained"', '"router": "fixed"'))
    with contextlib.chdir(folder):
        summary = routing.run()
    assert summary["collapsed"] and summary["swap_cost"] == pytest.approx(0, abs=1e-3)
    assert summary["same_texts"] == 1


def test_a_stage_that_is_not_there_and_parts_that_come_later_are_refused_by_name(tmp_path: Path) -> None:
    with contextlib.chdir(prepare(tmp_path)):
        with pytest.raises(ParamsError, match="RS-MoE has no training stage '3'; allowed: 1, 2"):
            moe.run("3")
        write_params(tmp_path, SENSORS, moe={"stage1": {"trains": ["language", "experts"]}})
        with pytest.raises(ParamsError, match="stage1 trains experts, but the network is dense until stage 2"):
            moe.run("1")
        write_params(tmp_path, SENSORS, moe={"common": {"eval_answers": 2}})
        with pytest.raises(ParamsError, match=r"moe\.common\.eval_answers is not 0"):
            moe.run("1")


def test_a_sample_without_room_for_all_its_experts_is_rejected_with_its_number_of_tokens(
    trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "narrow"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("moe@*"))
    write_params(folder, SENSORS, moe={"common": SHORT | {"max_length": 32}})
    with contextlib.chdir(folder), pytest.raises(EmptyStageError, match=r"tokens for all experts, 32 allowed"):
        moe.run("2")
