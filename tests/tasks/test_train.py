"""tasks/train.py and the stages around it, run as the graph runs them: as commands, killed in the middle."""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import yaml

from tasks import blind, evaluate, guesses, mixture, stats, tokenizer, train
from tasks.core import paths, tables
from tasks.core.errors import ParamsError, TrainingError
from tasks.core.stage import read_json
from tasks.evaluation.known_limits import limits_of
from tasks.evaluation.names import RELEASED
from tasks.vlm.answerer import Answerer
from tasks.vlm.samples import read_samples
from tests.fixtures.small_dataset import ROOT, write_dataset, write_params

SENSORS = ["sentinel-2", "sentinel-1"]
SHORT = {
    "batch": 2, "max_length": 256, "checkpoint_every": 2, "log_every": 1, "eval_every": 8, "eval_samples": 8,
}  # fmt: skip


def prepare(folder: Path, steps: int = 24) -> None:
    """A dataset, its statistics, tokenizer and mixtures; each stage of training is `steps` long."""
    write_dataset(folder, 16, tuple(SENSORS))
    stages = {f"stage{stage}": {"max_steps": steps} for stage in (1, 2, 3)}
    write_params(folder, SENSORS, train={"common": SHORT, **stages}, evaluate={"bootstrap": 100})
    with contextlib.chdir(folder):
        for sensor in SENSORS:
            stats.run(sensor)
        tokenizer.run()
        for stage in ("1", "2", "3"):
            mixture.run(stage)


def command(stage: str, folder: Path) -> "subprocess.Popen[str]":
    """`python -m tasks.train --stage N`, started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "tasks.train", "--stage", stage]
    return subprocess.Popen(arguments, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def outputs(folder: Path, stage: str = "1") -> dict[str, bytes]:
    """Every byte that a stage has written."""
    return {path.name: path.read_bytes() for path in sorted((folder / paths.train(stage)).iterdir())}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_the_middle_the_same_command_goes_on_to_the_very_same_weights(tmp_path: Path) -> None:
    prepare(tmp_path / "calm", steps=16)
    shutil.copytree(tmp_path / "calm", tmp_path / "killed")
    calm, killed = command("1", tmp_path / "calm"), command("1", tmp_path / "killed")
    work = tmp_path / "killed" / ".earthloom/work/train@1"
    while not (work / "step-00000004").exists() and killed.poll() is None:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / paths.train("1")).exists()
    again = command("1", tmp_path / "killed")
    _, errors = again.communicate()
    assert (again.returncode, calm.wait()) == (0, 0)
    assert "going on after step" in errors
    assert outputs(tmp_path / "killed") == outputs(tmp_path / "calm")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset on which all three stages were trained, and evaluated."""
    folder = tmp_path_factory.mktemp("trained")
    prepare(folder, steps=16)
    with contextlib.chdir(folder):
        for stage in ("1", "2", "3"):
            train.run(stage)
        blind.run()
        guesses.run()
        evaluate.run(RELEASED)
    return folder


def stop_at(checkpoint: Path) -> None:
    """Send SIGTERM to this process as soon as `checkpoint` is written."""
    while not checkpoint.exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)


def weights(folder: Path, stage: str) -> dict[str, Any]:
    """Tensors of a stage's checkpoint."""
    from safetensors.torch import load_file

    return load_file(folder / paths.train(stage) / "model.safetensors")


def test_the_loss_goes_down_and_the_log_shows_it(trained: Path) -> None:
    rows = list(csv.DictReader((trained / paths.train("1") / "log.csv").open()))
    assert [row["step"] for row in rows] == [str(step) for step in range(17)]
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[1]["loss"])
    assert float(rows[-1]["val_loss"]) < 0.7 * float(rows[0]["val_loss"])
    assert int(rows[-1]["visual_tokens"]) % 16 == 0
    assert int(rows[-1]["tokens"]) > 0.7 * 16 * 2 * 256


def test_answers_to_a_few_validation_questions_are_there_to_be_watched_and_are_no_output(trained: Path) -> None:
    lines = (trained / ".earthloom/work/train@1/samples.jsonl").read_text().splitlines()
    answers = [json.loads(line) for line in lines]
    assert {answer["step"] for answer in answers} == {0, 8, 16}
    asked = [answer["sample"] for answer in answers if answer["step"] == 16]
    assert 1 <= len(set(asked)) == len(asked) <= 3
    assert set(asked) <= set(pl.read_parquet(trained / paths.mixture("1") / "val.parquet")["sample_id"])
    assert all("<image>" not in answer["question"] and answer["expected"] for answer in answers)
    assert not list((trained / "data").rglob("samples.jsonl"))


def test_stage_2_and_3_leave_the_vision_encoder_as_it_is_and_train_the_rest(trained: Path) -> None:
    before, after = weights(trained, "1"), weights(trained, "3")
    same = {name for name in before if before[name].equal(after[name])}
    vision = {name for name in before if name.startswith("model.vision_tower")}
    fusion = {name for name in before if name.startswith("model.band_fusion")}
    assert vision <= same
    assert not fusion & same
    assert "lm_head.weight" not in same


def test_each_stage_begins_with_the_weights_of_the_one_before(trained: Path) -> None:
    rows = list(csv.DictReader((trained / paths.train("2") / "log.csv").open()))
    before = list(csv.DictReader((trained / paths.train("1") / "log.csv").open()))
    assert rows[0]["val_loss"] == before[-1]["val_loss"]


def test_a_stopped_run_exits_with_75_and_goes_on_to_the_same_bytes(trained: Path) -> None:
    with contextlib.chdir(trained):
        expected = outputs(trained)
        stopper = threading.Thread(target=stop_at, args=(paths.work("train@1") / "step-00000004",))
        stopper.start()
        with pytest.raises(TrainingError, match="the same command goes on") as stopped:
            train.run("1")
        stopper.join()
        assert stopped.value.exit_code == 75
        train.run("1")
        assert outputs(trained) == expected


def losses(folder: Path, stage: str = "1") -> list[float]:
    """Loss of each logged step."""
    rows = csv.DictReader((folder / paths.train(stage) / "log.csv").open())
    return [float(row["loss"]) for row in rows if row["loss"]]


@pytest.mark.parametrize(
    ("change", "tolerance"),
    [
        ({"precision": "bfloat16"}, 0.05),
        ({"checkpointing": "layers"}, 1e-5),
        ({"workers": 2}, 0),
        ({"parallel": "fsdp"}, 1e-4),
    ],
)
def test_the_loss_of_a_step_is_the_same_however_it_is_computed(
    change: dict[str, Any], tolerance: float, trained: Path, tmp_path: Path
) -> None:
    for name in ("whole", "other"):
        shutil.copytree(trained, tmp_path / name)
        common = SHORT | (change if name == "other" else {})
        write_params(tmp_path / name, SENSORS, train={"common": common, "stage1": {"max_steps": 3}})
        with contextlib.chdir(tmp_path / name):
            train.run("1")
    assert losses(tmp_path / "other") == pytest.approx(losses(tmp_path / "whole"), rel=tolerance)


def test_adapters_learn_and_leave_a_checkpoint_like_any_other(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "lora")
    common = SHORT | {"lora": {"rank": 4, "alpha": 8, "dropout": 0.05}}
    write_params(tmp_path / "lora", SENSORS, train={"common": common, "stage2": {"max_steps": 12}})
    before = weights(trained, "1")
    with contextlib.chdir(tmp_path / "lora"):
        summary = train.run("2")
    after = weights(tmp_path / "lora", "2")
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert "model.language_model.layers.0.self_attn.qkv_proj.weight" in changed
    assert not changed & {"model.language_model.embed_tokens.weight", "lm_head.weight"}
    rows = list(csv.DictReader((tmp_path / "lora" / paths.train("2") / "log.csv").open()))
    assert float(rows[-1]["val_loss"]) < float(rows[0]["val_loss"])
    assert rows[-1]["val_loss"] == pytest.approx(str(summary["val_loss"]["last"]))
    assert measured_loss(tmp_path / "lora") == pytest.approx(float(rows[-1]["val_loss"]), rel=1e-4)


def measured_loss(folder: Path) -> float:
    """Validation loss of the weights that stage 2 has written, as stage 3 would begin with them."""
    with contextlib.chdir(folder):
        write_params(folder, SENSORS, train={"common": SHORT, "stage3": {"max_steps": 1}})
        shutil.rmtree(folder / paths.mixture("3"))
        shutil.copytree(folder / paths.mixture("2"), folder / paths.mixture("3"))
        train.run("3")
    return float(next(csv.DictReader((folder / paths.train("3") / "log.csv").open()))["val_loss"])


def test_every_step_is_metered(trained: Path) -> None:
    log = trained / paths.work("train@3") / "progress.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 17))
    for line in lines:
        assert 0.5 < line["fill"] <= 1 and line["padding"] == 0 and 0 < line["mfu"] < 1.2
        assert 0 <= line["stall"] < 1 and line["peak_memory_mb"] > 100 and line["samples_per_second"] > 0


def test_the_full_size_recipe_says_at_once_that_it_needs_a_gpu(trained: Path) -> None:
    write_params(trained, SENSORS, train={"common": SHORT | {"device": "cpu"}})
    with contextlib.chdir(trained), pytest.raises(TrainingError, match="there is none here"):
        train.run("1", preset="4b")


def test_another_preset_takes_its_own_recipe(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "small")
    small = {"common": {"batch": 1, "max_length": 512, "threads": 1}, "stage1": {"epochs": 1, "max_steps": 1}}
    write_params(tmp_path / "small", SENSORS, train={"common": SHORT, "presets": {"small": small}})
    with contextlib.chdir(tmp_path / "small"):
        assert train.run("1", preset="small")["steps"] == 1
        config = read_json(paths.train("1") / "config.json")
    assert config["vision_config"]["hidden_size"] == 384
    assert config["max_tiles"] == 6


def test_a_wrong_key_in_the_recipe_of_a_preset_is_named(trained: Path) -> None:
    write_params(trained, SENSORS, train={"presets": {"4b": {"common": {"max_lenght": 4096}}}})
    with contextlib.chdir(trained), pytest.raises(ParamsError, match="max_lenght' is not a parameter; did you mean"):
        train.run("1")
    write_params(trained, SENSORS, train={"common": SHORT})


def test_what_only_the_compiler_can_work_out_again_is_refused_without_it(trained: Path) -> None:
    write_params(trained, SENSORS, train={"common": SHORT | {"checkpointing": "pointwise"}})
    with contextlib.chdir(trained), pytest.raises(ParamsError, match="set compile to true, or take layers"):
        train.run("1")
    write_params(trained, SENSORS, train={"common": SHORT})


def test_a_process_started_beside_others_says_that_it_may_not_share(trained: Path) -> None:
    write_params(trained, SENSORS, train={"common": SHORT | {"parallel": "none"}})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RANK": "0", "WORLD_SIZE": "2"}
    arguments = [sys.executable, "-m", "tasks.train", "--stage", "1"]
    run = subprocess.run(arguments, cwd=trained, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "started 2 processes, but train.common.parallel is none" in run.stderr


def test_the_checkpoint_is_whole_by_itself(trained: Path) -> None:
    names = set(outputs(trained, "3"))
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert {"tokenizer_config.json", "normalisation.json", "log.csv", "rejected.parquet"} <= names
    assert not list((trained / ".earthloom/work/train@3").glob("step-*"))


def test_the_checkpoint_says_what_all_its_stages_taught_and_by_which_recipe(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    limits = limits_of(paths.train("3"))
    assert limits is not None and not limits.open and limits.scores is not None
    stages = json.loads((paths.train("3") / "recipe.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["train@1", "train@2", "train@3"]
    taught = [sample for stage in "123" for sample in read_samples(paths.mixture(stage) / "train.parquet")]
    assert sum(kind.count for kind in limits.kinds.values()) == sum(len(sample.turns) for sample in taught)
    assert set(limits.sensors) == {image.sensor for sample in taught for image in sample.images}
    for sample in taught:
        images = [(image.sensor, image.modality) for image in sample.images]
        assert [one for one, _ in sample.turns if limits.refusal(one, images)] == []


def test_every_held_out_question_is_answered_beside_its_controls(trained: Path) -> None:
    with contextlib.chdir(trained):
        rows = tables.read(paths.evaluate(RELEASED) / "predictions.parquet").to_pylist()
        scores = read_json(paths.evaluate(RELEASED) / "scores.json")
        asked = tables.read(paths.mixture("3") / "test.parquet").num_rows
    assert len(rows) == asked == scores["overall"]["n"]
    assert {row["modality"] for row in rows} == {"rgb", "ms", "sar"}
    assert all(row["prompt"].endswith("<|assistant|>\n") and row["majority_answer"] for row in rows)
    assert all(row["no_image_answer"] is not None for row in rows)
    assert sum(row["other_image_answer"] is not None for row in rows) > len(rows) / 2
    for name in ("accuracy", "no_image", "other_image", "majority", "ci95"):
        assert name in scores["by_type"]["dominant"]


def test_an_evaluation_that_was_stopped_asks_only_what_is_missing_and_leaves_the_same_bytes(trained: Path) -> None:
    write_params(trained, SENSORS, train={"common": SHORT}, evaluate={"bootstrap": 100})  # as when it was evaluated
    with contextlib.chdir(trained):
        before = {path.name: path.read_bytes() for path in paths.evaluate(RELEASED).iterdir()}
        kept, lost = (
            paths.work("evaluate@earthdial") / name / "chunk-00000.parquet" for name in ("answer", "other-image")
        )
        written = kept.stat().st_mtime_ns
        lost.unlink()
        evaluate.run(RELEASED)
        assert lost.exists() and kept.stat().st_mtime_ns == written
        assert {path.name: path.read_bytes() for path in paths.evaluate(RELEASED).iterdir()} == before


def test_the_command_gives_the_held_out_questions_the_answers_of_the_stage_in_the_same_columns(trained: Path) -> None:
    longest = yaml.safe_load((trained / "params.yaml").read_text())["evaluate"]["max_new_tokens"]
    words = ["--benchmarks", "demo", "--controls", "no-image", "--slots", "3", "--max-new-tokens", str(longest)]
    line = [sys.executable, "-m", "earthloom", "evaluate", "data/train/3", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(line, cwd=trained, env=environment, capture_output=True, check=True)
    stage = tables.read(trained / paths.evaluate(RELEASED) / "predictions.parquet")
    command = tables.read(trained / "data/benchmarks-runs/train-3/demo/predictions.parquet")
    assert command.equals(stage.select(command.column_names))
    behind = set(stage.column_names) - set(command.column_names)
    assert {"majority_answer", "correct", "no_image_correct"} < behind
    assert all(name.endswith(("_answer", "correct")) for name in behind - {"scene", "asked_in_training"})


def test_a_checkpoint_of_another_tokenizer_is_refused(trained: Path) -> None:
    path = trained / paths.tokenizer() / "tokenizer.json"
    before = path.read_bytes()
    path.write_bytes(before + b" ")
    with (
        contextlib.chdir(trained),
        pytest.raises(TrainingError, match="data/train/1 was trained with another tokenizer; train that stage again"),
    ):
        train.run("2")
    path.write_bytes(before)


def test_parameters_are_read_without_torch() -> None:
    code = "import sys, tasks.train, tasks.check, tasks.mixture, tasks.tokenizer, tasks.stats as s; "
    code += "print([m for m in ('torch', 'transformers', 'tokenizers') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def foreign_weights(folder: Path) -> None:
    """A tiny model under data/weights/tiny as if imported: random, with a tokenizer that knows few of our tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from models.earthdial.model import EarthDialForConditionalGeneration
    from models.earthdial.presets import make_config

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    words.train_from_iterator(["what"], trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    published = PreTrainedTokenizerFast(tokenizer_object=words)
    published.add_tokens(["<|end|>", "<|endoftext|>", "<IMG_CONTEXT>", "<box>"], special_tokens=True)
    ids = {token: published.convert_tokens_to_ids(token) for token in ("<IMG_CONTEXT>", "<|end|>", "<|endoftext|>")}
    image, end, pad = ids.values()
    torch.manual_seed(5)
    config = make_config(
        "tiny", vocab_size=len(published) + 3, image_token_id=image, end_token_id=end, pad_token_id=pad
    )
    EarthDialForConditionalGeneration(config).save_pretrained(folder)
    published.save_pretrained(folder)


def test_stage_1_starts_from_imported_weights_and_their_tokenizer_grows_by_our_tokens(tmp_path: Path) -> None:
    prepare(tmp_path, steps=1)
    gentle = {f"stage{stage}": {"max_steps": 1, "lr": 1e-7} for stage in (1, 2, 3)}
    write_params(tmp_path, SENSORS, train={"common": SHORT, **gentle})
    place = tmp_path / "data/weights/tiny"
    foreign_weights(place)
    with contextlib.chdir(tmp_path):
        train.run("1")
        train.run("2")
        answerer = Answerer(paths.train("2"))
    from safetensors.torch import load_file

    before, after = load_file(place / "model.safetensors"), weights(tmp_path, "2")
    rows = "model.language_model.embed_tokens.weight"
    known = len(before[rows])
    assert len(after[rows]) > known
    for name, tensor in before.items():
        same = after[name][:known] if len(after[name]) > known and name in (rows, "lm_head.weight") else after[name]
        assert torch.allclose(same, tensor, atol=1e-4), name
    words = answerer.tokenizer
    for token in ("<box>", "<ref>", "[s2_ms_10]", "[refer]"):
        (number,) = words.encode(token, add_special_tokens=False)
        assert words.decode([number], skip_special_tokens=True) == token
    assert words.decode(words.encode("a<|end|>", add_special_tokens=False), skip_special_tokens=True) == "a"
    assert words.encode("<|end|>", add_special_tokens=False) == [answerer.model.config.text_config.eos_token_id]
