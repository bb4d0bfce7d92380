"""RS-MoE as what is asked: captions joined from the experts, other answers mixed, and checkpoints that cannot be."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.earthdial.continuous_batching import Usage
from models.rsmoe.generate import Answered
from models.rsmoe.prompt import EXPERTS, QFORMER_TOKENIZER
from tasks.core.errors import TrainingError
from tasks.core.stage import checkpoint_hash
from tasks.vlm.answerer import Answerer, Question
from tasks.vlm.images import preprocess
from tests.fixtures.tiny_checkpoint import write_tokenizer
from tests.fixtures.tiny_moe_checkpoint import CAPTION, SENTENCES, TAUGHT

FLAT = {band: np.full((64, 64), 0.2, dtype=np.float32) for band in ("B04", "B03", "B02")}


@pytest.fixture(scope="module")
def answerer(tiny_moe_checkpoint: Path) -> Answerer:
    """The tiny model, loaded once."""
    return Answerer(tiny_moe_checkpoint)


def question(answerer: Answerer, text: str, bands: tuple[str, ...] = ("B04", "B03", "B02"), **more: Any) -> Question:
    """One about an image."""
    image = preprocess({band: FLAT[band] for band in bands}, "sentinel-2", list(bands), answerer.normalise)
    return Question(tuple(answerer.tiles([image])), ((text, ""),), **more)


def test_a_caption_is_joined_from_the_experts_and_any_other_answer_is_one(answerer: Answerer) -> None:
    for text, answers in TAUGHT:
        if text.startswith("[s1"):
            continue
        expected = CAPTION if answers == SENTENCES else answers[0]
        assert "".join(answerer.stream(question(answerer, text), 60)) == expected


def test_questions_side_by_side_get_the_answers_they_get_alone(answerer: Answerer) -> None:
    asks = [answerer.ask(question(answerer, text), 20 + 10 * (number % 2)) for number, (text, _) in enumerate(TAUGHT)]
    usage = Usage(3)
    together = list(answerer.network.answer_all(asks, 3, usage))
    alone = [next(answerer.network.answer_all([ask], 1, Usage(1))) for ask in asks]
    assert [(one.text, one.ended) for one in together] == [(one.text, one.ended) for one in alone]
    assert [one.number for one in together] == [0, 1, 2, 3] and together[3].text == CAPTION
    assert usage.decoded == 4


def test_an_image_of_one_band_is_seen_and_an_answer_that_is_cut_says_so(answerer: Answerer) -> None:
    ask = answerer.ask(question(answerer, TAUGHT[1][0], ("B04",)), 3)
    (done,) = answerer.network.answer_all([ask], 1, Usage(1))
    assert done.text and not done.ended


def test_what_is_shown_of_a_caption_is_never_taken_back(answerer: Answerer) -> None:
    network: Any = answerer.network
    whole = [answerer.tokenizer.encode(f"{one} {one} It is so.", add_special_tokens=False) for one in SENTENCES]
    shown = ""
    for step in range(1, max(map(len, whole)) + 2):
        now = Answered([ids[:step] for ids in whole], False, [])
        text = network._settled(now, [len(ids) >= step for ids in whole])
        assert text.startswith(shown)
        shown = text
    assert shown == f"{SENTENCES[0]} It is so. {SENTENCES[1]} {SENTENCES[2]}"


def test_a_system_prompt_and_a_question_without_an_image_are_refused(answerer: Answerer) -> None:
    with pytest.raises(TrainingError, match="the experts have prompts of their own"):
        answerer.ask(question(answerer, "What is it?", system="Be brief."), 10)
    with pytest.raises(TrainingError, match="the router sees no image"):
        answerer.ask(Question((), (("What is it?", ""),)), 10)
    with pytest.raises(TrainingError, match=r"the model takes 512 together"):
        answerer.ask(question(answerer, "why " * 500), 10)


def test_a_question_is_read_with_the_tokenizer_of_the_q_former_where_it_has_one(
    tmp_path: Path, answerer: Answerer, tiny_moe_checkpoint: Path
) -> None:
    shutil.copytree(tiny_moe_checkpoint, tmp_path / "model", copy_function=os.link)
    write_tokenizer(tmp_path / "model" / QFORMER_TOKENIZER, ["Words of another kind."])
    other = Answerer(tmp_path / "model")
    own, theirs = (one.encode(question(one, TAUGHT[0][0])) for one in (other, answerer))
    assert own.ids == theirs.ids and own.instruction != theirs.instruction
    assert checkpoint_hash(tmp_path / "model") != checkpoint_hash(tiny_moe_checkpoint)


def config(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Changes config.json."""

    def apply(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        change(values)
        (folder / "config.json").unlink()
        (folder / "config.json").write_text(json.dumps(values))

    return apply


def weights(change: Callable[[str, Any], Any]) -> Callable[[Path], None]:
    """Changes each of the weights, or takes it away."""

    def apply(folder: Path) -> None:
        found = {name: change(name, tensor) for name, tensor in load_file(folder / "model.safetensors").items()}
        (folder / "model.safetensors").unlink()
        kept = {name: tensor.clone() for name, tensor in found.items() if tensor is not None}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})

    return apply


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            weights(lambda name, x: x[:2] if ".lora_" in name or name == "router.queries" else x),
            "experts theme, object, relation, but the weights hold nothing of relation",
        ),
        (
            weights(lambda name, x: None if ".lora_" in name else x),
            "the weights hold nothing of theme, object, relation",
        ),
        (
            config(lambda values: values.update(experts=["theme"], templates=values["templates"][:1])),
            "names the experts theme, but the weights hold 3",
        ),
        (
            config(lambda values: values.update(realisation="separate")),
            "the weights hold nothing of theme, object, relation",
        ),
        (weights(lambda name, x: x[..., :9] if ".lora_A" in name else x), r"mis-shaped: .*lora_A"),
        (config(lambda values: values["templates"].__setitem__(1, " ")), "the prompt of expert object is empty"),
        (
            config(lambda values: values["templates"].__setitem__(1, "See.")),
            "expert object has . tokens",
        ),
        (config(lambda values: values.update(image_token_index=3)), "the tokenizer in .* does not fit its weights"),
    ],
)
def test_a_checkpoint_that_does_not_hold_together_is_refused_by_name(
    tmp_path: Path, tiny_moe_checkpoint: Path, change: Callable[[Path], None], said: str
) -> None:
    shutil.copytree(tiny_moe_checkpoint, tmp_path / "model", copy_function=os.link)
    change(tmp_path / "model")
    with pytest.raises(TrainingError, match=said):
        Answerer(tmp_path / "model")


def test_a_router_that_writes_prompts_is_served_and_one_that_writes_none_is_an_error(
    tmp_path: Path, tiny_moe_checkpoint: Path
) -> None:
    shutil.copytree(tiny_moe_checkpoint, tmp_path / "model", copy_function=os.link)
    config(lambda values: values.update(router="generative"))(tmp_path / "model")
    generative = Answerer(tmp_path / "model")
    ask = generative.ask(question(generative, TAUGHT[0][0]), 8)
    assert len(ask.prompt.requests) == len(EXPERTS)
    (done,) = generative.network.answer_all([ask], 1, Usage(1))
    assert done.text
    # A head that gives every token the same: the first of them ends the prompt before it began.
    with torch.no_grad():
        generative.model.language_model.lm_head.weight.zero_()
    generative.model.config.text_config.eos_token_id = 0
    with pytest.raises(TrainingError, match="the experts cannot answer: the router wrote no prompt for expert theme"):
        list(generative.network.answer_all([ask], 1, Usage(1)))


def test_the_dense_network_of_stage_1_is_asked_like_any_other(tmp_path: Path, tiny_moe_checkpoint: Path) -> None:
    shutil.copytree(tiny_moe_checkpoint, tmp_path / "model", copy_function=os.link)
    config(lambda values: values.update(experts=[], templates=[]))(tmp_path / "model")
    weights(lambda name, x: None if ".lora_" in name or name.startswith("router.") else x)(tmp_path / "model")
    dense = Answerer(tmp_path / "model")
    ask = dense.ask(question(dense, TAUGHT[3][0], system="Be brief."), 8)
    assert len(ask.prompt.ids) == 1 < len(EXPERTS) and not ask.prompt.joined
    assert next(dense.network.answer_all([ask], 1, Usage(1))).text
