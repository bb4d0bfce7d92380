"""Fine-tuning on pairs of one's own: what is held out, what is left, and that a kill loses nothing."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from models.earthdial.model import EarthDialForConditionalGeneration
from tasks.commands.weights import import_weights, merge_adapter
from tasks.core.errors import EarthloomError, LeakageError, ParamsError, TrainingError
from tasks.core.stage import read_json
from tasks.finetuning.base import find_base
from tasks.finetuning.pairs import read_pairs
from tasks.finetuning.run import Finetuning, Outcome, finetune
from tasks.finetuning.scores import BLANK
from tasks.training.finetune_params import FinetuneLoraParams, FinetuneStage, load_params
from tasks.training.lora import add_adapters, chosen_adapters
from tasks.vlm.answerer import Answerer, Question
from tasks.vlm.chip_reader import ChipReader
from tasks.vlm.limits import Limits
from tasks.vlm.loading import Loading
from tasks.vlm.samples import read_samples
from tests.conftest import ROOT
from tests.fixtures.internvl_hf import write_hf
from tests.fixtures.own_conversations import llava, picture, take, write

torch.set_num_threads(1)
WORDS = ("dense forest", "open water", "bare ground")
RUN = {"device": "cpu", "eval_every": 1000, "checkpoint_every": 2, "batch": 1, "max_length": 128}
FLAGS = {"lr": 5e-3, "epochs": 8, "max_new_tokens": 8, "held_out": 0.25}


def pairs_of(folder: Path, count: int, name: str = "mine", first: int = 0) -> Path:
    """Imported pairs, two about each of `count` pictures: a short answer and a sentence."""
    images = folder / "in/images"
    images.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(first, first + count):
        (images / f"{number}.png").write_bytes(picture(number))
        answer = WORDS[number % len(WORDS)]
        for ask, say in (
            ("What covers most of this image?", answer),
            ("Describe it.", f"The picture shows {answer} nearly everywhere."),
        ):
            turns = ({"from": "human", "value": f"<image>\n{ask}"}, {"from": "gpt", "value": say})
            rows.append(llava(f"{number}.png", *turns))
    outcome = take(write(folder / "in", rows, f"{name}.json"))
    assert outcome.counts.kept == 2 * count
    return folder / "out" / name


def asked(pairs: Path, source: Path, out: Path, **changes: Any) -> Finetuning:
    run = {**RUN, **{name: changes.pop(name) for name in ("batch", "precision") if name in changes}}
    held_out = changes.pop("other", None)
    return Finetuning((pairs,), source, out, load_params({**FLAGS, **changes}), held_out, run)


def at(folder: Path) -> Any:
    """The project's parameters, and `folder` as the current one."""
    shutil.copy(ROOT / "params.yaml", folder)
    return contextlib.chdir(folder)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> tuple[Path, Outcome]:
    """A folder with a base, imported pairs, and an adapter trained on them."""
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copytree(tiny_checkpoint, folder / "base")
    pairs_of(folder, 12)
    with at(folder):
        return folder, finetune(asked(Path("out/mine"), Path("base"), Path("adapter")))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def test_an_adapter_is_left_in_pefts_format_with_scores_before_and_after(tuned: tuple[Path, Outcome]) -> None:
    folder, outcome = tuned
    config = read_json(folder / "adapter/adapter_config.json")
    assert config["peft_type"] == "LORA" and config["base_model_name_or_path"] == "base"
    names = tensors(folder / "adapter")
    for part in ("language_model.layers.0.self_attn.qkv_proj", "multi_modal_projector.linear_1"):
        assert f"base_model.model.model.{part}.lora_A.weight" in names
    assert not [name for name in names if "vision_tower" in name]
    assert all(bool(tensor.abs().sum() > 0) for tensor in names.values()), "something did not learn"
    # Half of the held-out answers are short; the loss is taken of all.
    assert outcome.before is not None and outcome.after is not None
    assert outcome.before["n"] == outcome.after["n"] == 3 and {"majority", BLANK[0].key} <= set(outcome.after)
    assert outcome.summary["val_loss"]["last"] < 0.5 * outcome.summary["val_loss"]["first"]
    record = read_json(folder / "adapter/finetune.json")
    assert record["scores"]["after"] == outcome.after and str(folder) not in json.dumps(record)


def test_the_tag_of_the_pairs_has_its_embedding_trained_and_no_other_row_is_kept(tuned: tuple[Path, Outcome]) -> None:
    folder, _ = tuned
    config = read_json(folder / "adapter/adapter_config.json")
    tokenizer = Answerer(folder / "base").tokenizer
    (token,) = config["trainable_token_indices"]["embed_tokens"]
    assert tokenizer.convert_ids_to_tokens(token).startswith("[hr_rgb")
    rows = [tensor for name, tensor in tensors(folder / "adapter").items() if "trainable_tokens" in name]
    base = load_file(folder / "base/model.safetensors")["model.language_model.embed_tokens.weight"]
    assert len(rows) == 1 and rows[0].shape == (1, base.shape[1]) and not torch.equal(rows[0][0], base[token])


def question(folder: Path, answerer: Answerer) -> Question:
    sample = read_samples(folder / ".earthloom/work/finetune@adapter.pairs/train.parquet")[0]
    with contextlib.chdir(folder):
        reader = ChipReader(answerer.normalise, answerer.image_size, answerer.max_tiles, 64)
        images = tuple(reader.images(sample))
    return Question(images, ((sample.turns[0][0], ""),))


def logits(answerer: Answerer, asked: Question) -> torch.Tensor:
    ask = answerer.ask(asked, 4)
    with torch.no_grad():
        found: torch.Tensor = answerer.model(input_ids=torch.tensor(ask.prompt.ids), **ask.images).logits
    return found


def test_chat_and_plain_peft_see_the_same_adapted_network(tuned: tuple[Path, Outcome]) -> None:
    folder, _ = tuned
    ours = Answerer(folder / "base", loading=Loading(adapter=folder / "adapter"))
    asks = question(folder, ours)
    assert "".join(ours.stream(asks, 8)) in WORDS
    plain: Any = EarthDialForConditionalGeneration.from_pretrained(folder / "base")
    before = logits(Answerer(folder / "base"), asks)
    adapted = PeftModel.from_pretrained(plain, str(folder / "adapter")).eval()
    ask = ours.ask(asks, 4)
    with torch.no_grad():
        theirs = adapted(input_ids=torch.tensor(ask.prompt.ids), **ask.images).logits
    assert torch.allclose(theirs, logits(ours, asks), atol=1e-4)
    assert not torch.allclose(theirs, before, atol=0.1)


def test_an_adapter_says_itself_what_it_was_taught_and_how_its_pictures_are_shown(tuned: tuple[Path, Outcome]) -> None:
    folder, _ = tuned
    adapted = Answerer(folder / "base", loading=Loading(adapter=folder / "adapter"))
    assert adapted.record == folder / "adapter" and Answerer(folder / "base").record == folder / "base"
    limits = Limits.load(adapted.record)
    assert limits is not None and list(limits.kinds) == ["conversation"]
    assert set(limits.sensors) == {"hr-rgb8"} and "hr-rgb8" in adapted.true_colour.measured


def test_merged_weights_answer_like_the_adapter_and_need_no_peft(tuned: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, _ = tuned
    with contextlib.chdir(folder):
        merge_adapter(Path("adapter"), tmp_path / "merged")
    whole = Answerer(tmp_path / "merged")
    ours = Answerer(folder / "base", loading=Loading(adapter=folder / "adapter"))
    asks = question(folder, ours)
    assert torch.allclose(logits(whole, asks), logits(ours, asks), atol=1e-4)
    assert whole.normalise.values == ours.normalise.values


def test_an_adapter_learns_on_from_where_it_stands(tuned: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, first = tuned
    with contextlib.chdir(folder):
        again = finetune(asked(Path("out/mine"), Path("adapter"), tmp_path / "more", epochs=1))
    assert again.before == first.after
    assert again.summary["val_loss"]["first"] == pytest.approx(first.summary["val_loss"]["last"], abs=1e-4)
    assert tensors(tmp_path / "more").keys() == tensors(folder / "adapter").keys()


def test_an_adapter_beside_another_base_is_refused(tuned: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, _ = tuned
    other = shutil.copytree(folder / "base", tmp_path / "base")
    weights = load_file(other / "model.safetensors")
    weights["lm_head.weight"][0, 0] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"was trained on base, and .* holds other weights"):
        Answerer(other, loading=Loading(adapter=folder / "adapter"))


def test_what_is_there_already_is_not_trained_over(tuned: tuple[Path, Outcome]) -> None:
    folder, first = tuned
    with contextlib.chdir(folder):
        # The same command again finds all of its work done.
        assert finetune(asked(Path("out/mine"), Path("base"), Path("adapter"))).after == first.after
        with pytest.raises(TrainingError, match="is there already, made from other pairs"):
            finetune(asked(Path("out/mine"), Path("base"), Path("adapter"), lr=1e-3))


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_goes_on_to_the_very_same_adapter(
    tuned: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder, _ = tuned
    for name in ("base", "out"):
        shutil.copytree(folder / name, tmp_path / name)
    shutil.copy(folder / "params.yaml", tmp_path)
    script = (
        "from pathlib import Path\nfrom tasks.core import log\nfrom tests.tasks.finetuning.test_finetune import asked\n"
        "from tasks.finetuning.run import finetune\n"
        "log.setup()\nfinetune(asked(Path('out/mine'), Path('base'), Path('adapter')))"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    while not (tmp_path / ".earthloom/work/finetune@adapter/step-00000004").exists() and begun.poll() is None:
        time.sleep(0.005)
    begun.send_signal(signal.SIGKILL)
    assert begun.wait() == -signal.SIGKILL and not (tmp_path / "adapter").exists()
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "going on after step" in done.stderr
    for name in ("adapter_model.safetensors", "adapter_config.json", "log.csv", "finetune.json"):
        assert (tmp_path / "adapter" / name).read_bytes() == (folder / "adapter" / name).read_bytes(), name


def test_a_tied_base_of_another_family_learns_in_its_own_chat_and_survives_being_merged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # As reported of others: merged where head and embeddings are tied, a model collapses when it is loaded again; and
    # adapters placed by the names of matrices alone also land in the vision tower.
    write_hf(tmp_path / "hf", "qwen2", tied=True)
    import_weights(str(tmp_path / "hf"), tmp_path / "base")
    pairs_of(tmp_path, 4)
    with at(tmp_path):
        run = asked(Path("out/mine"), Path("base"), Path("adapter"), epochs=2, lr=1e-3)
        done = finetune(dataclasses.replace(run, run={**run.run, "max_length": 512}))
        merge_adapter(Path("adapter"), Path("merged"))
    assert done.summary["val_loss"]["last"] < done.summary["val_loss"]["first"]
    assert "[hr_rgb" in caplog.text and "read as text" in caplog.text
    names = tensors(tmp_path / "adapter")
    assert any("layers.0.self_attn.k_proj.lora_A" in name for name in names)
    assert not [name for name in names if "vision_tower" in name or "lm_head" in name or "embed" in name]
    ours, merged = (
        Answerer(tmp_path / "base", loading=Loading(adapter=tmp_path / "adapter")),
        Answerer(tmp_path / "merged"),
    )
    asks = question(tmp_path, ours)
    assert "<|im_start|>user\n[hr_rgb" in ours.encode(asks).text
    assert torch.allclose(logits(ours, asks), logits(merged, asks), atol=1e-4)


def test_images_that_pairs_share_stay_on_one_side(tmp_path: Path) -> None:
    folder = pairs_of(tmp_path, 12)
    pairs = read_pairs([folder], None, 0.25)
    sides = [{row["images"][0]["chip_id"] for row in rows} for rows in (pairs.train, pairs.val)]
    assert [len(side) for side in sides] == [9, 3] and not sides[0] & sides[1]
    assert [len(pairs.train), len(pairs.val)] == [18, 6]
    assert read_pairs([folder], None, 0.25) == pairs


def test_held_out_pairs_of_an_image_that_is_trained_on_are_refused(tmp_path: Path) -> None:
    mine, other = pairs_of(tmp_path, 4), pairs_of(tmp_path, 3, "other", first=3)
    with pytest.raises(LeakageError, match=r"1 of the images in .*other are trained on, too"):
        read_pairs([mine], other, 0.2)
    apart = read_pairs([mine], pairs_of(tmp_path, 2, "apart", first=20), 0.2)
    assert (len(apart.train), len(apart.val)) == (8, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "finetune.lora.rank"),
        ({"targets": ["vision"]}, "finetune.lora.targets"),
    ],
)
def test_parameters_of_adapters_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        load_params({f"lora.{name}": value for name, value in change.items()})


def test_bases_that_cannot_be_adapted_are_refused_by_name(tmp_path: Path, tiny_moe_checkpoint: Path) -> None:
    for source, message in ((tiny_moe_checkpoint, "is of RS-MoE"), (tmp_path, r"holds no model.safetensors")):
        with at(tmp_path), pytest.raises(EarthloomError, match=message):
            finetune(asked(Path("out/mine"), source, Path("adapter")))


def test_weights_of_which_one_is_not_a_number_are_refused_with_its_name(
    tuned: tuple[Path, Outcome], tmp_path: Path
) -> None:
    folder, _ = tuned
    for value, (name, where) in zip(
        (float("nan"), float("inf")),
        (("base", "model.safetensors"), ("adapter", "adapter_model.safetensors")),
        strict=True,
    ):
        broken = shutil.copytree(folder / name, tmp_path / name)
        weights = load_file(broken / where)
        tensor = sorted(weights)[3]
        weights[tensor].view(-1)[1] = value
        save_file(weights, broken / where, metadata={"format": "pt"})
        loading = Loading(adapter=tmp_path / "adapter") if name == "adapter" else Loading()
        with pytest.raises(TrainingError, match=f"not finite, in {tensor}"):
            Answerer(folder / "base" if name == "adapter" else broken, loading=loading)


@pytest.mark.parametrize("load_in", ["int8", "int4"])
def test_matrices_in_few_bits_pass_gradients_on_after_they_were_asked(load_in: str, tiny_checkpoint: Path) -> None:
    pytest.importorskip("bitsandbytes")
    base = find_base(tiny_checkpoint)
    model = base.model("float32", load_in, "cpu", 0)  # type: ignore[arg-type]
    whole = {type(model.get_submodule(name)).__name__ for name in ("lm_head", "model.multi_modal_projector.linear_1")}
    kinds = {type(module).__name__ for module in model.model.language_model.layers[0].modules()}
    assert whole == {"LanguageHead", "Linear"} and {"int8": "Linear8bitLt", "int4": "Linear4bit"}[load_in] in kinds
    train_parts = FinetuneLoraParams(rank=2, alpha=4, dropout=0.0, targets=["language"], tag_embeddings=False)
    stage = FinetuneStage(
        trains=["language"], lr=1e-3, vision_lr=1.0, epochs=1, lora=train_parts, tokens=(100,), start=None
    )
    model.train_parts(["language"])
    adapters = chosen_adapters(load_params({}).run_params(), stage)
    assert adapters is not None
    add_adapters(model, adapters, ["language"])
    ids = torch.tensor([[100, 101, 102, 103]])
    with torch.no_grad():
        model.eval()(input_ids=ids)  # as the validation loss before the first step
    model.train()(input_ids=ids, labels=ids).loss.backward()
    # The embedding lies below every matrix: its gradient went through all of them.
    rows = [parameter for name, parameter in model.named_parameters() if "trainable_tokens_delta" in name]
    assert rows[0].grad is not None and float(rows[0].grad.abs().sum()) > 0


@pytest.mark.parametrize("load_in", ["int8", "int4"])
def test_in_few_bits_a_checkpoint_answers_with_and_without_its_adapter(
    load_in: Any, tuned: tuple[Path, Outcome]
) -> None:
    pytest.importorskip("bitsandbytes")
    folder, _ = tuned
    adapted = Answerer(folder / "base", loading=Loading(load_in=load_in, adapter=folder / "adapter"))
    asks = question(folder, adapted)
    assert "".join(adapted.stream(asks, 8)) in WORDS
    plain = Answerer(folder / "base", loading=Loading(load_in=load_in))
    assert torch.allclose(logits(plain, asks), logits(Answerer(folder / "base"), asks), atol=3.0)


def test_numbers_that_a_network_computes_with_are_the_users_to_choose(tuned: tuple[Path, Outcome]) -> None:
    folder, _ = tuned
    half = Answerer(folder / "base", loading=Loading(dtype="bfloat16", adapter=folder / "adapter"))
    assert half.model.dtype == torch.bfloat16
    assert "".join(half.stream(question(folder, half), 8)) in WORDS


def test_what_only_networks_of_earthdial_have_is_refused_of_experts(tiny_moe_checkpoint: Path) -> None:
    with pytest.raises(TrainingError, match=r"kind rsmoe are loaded whole; --load-in and --adapter"):
        Answerer(tiny_moe_checkpoint, loading=Loading(adapter=Path("adapter")))
