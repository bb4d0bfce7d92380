"""A model in this process: it is loaded safely, asked in batches, and what it said is kept."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tasks.core.errors import GenerationError
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Written
from tasks.earth.sensors import SENSORS
from tasks.generators.asks import Ask, Picture
from tasks.generators.in_process import InProcessGenerator
from tasks.generators.local_model import LocalModel
from tasks.generators.renderings import renderings
from tests.fixtures.model_params import chip, model_params, truthful
from tests.fixtures.model_server import pairs_text
from tests.fixtures.toy_models import write_internvl, write_parrot

SAID = pairs_text(("Is there water?", "No."), ("Is there tree cover?", "Yes."))
TOY = {"device": "cpu", "in_flight": 3, "max_tokens": 24, "longest_tokens": 24}


@pytest.fixture(scope="module")
def parrot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parrot(tmp_path_factory.mktemp("parrot"), SAID)


@pytest.fixture(scope="module")
def internvl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_internvl(tmp_path_factory.mktemp("internvl"))


def write(folder: Path, model: Path, count: int = 4, show: Any = lambda _: (), **changes: Any) -> list[Written]:
    params = model_params(folder, "http://127.0.0.1:9/v1", name=str(model), **{**TOY, **changes})
    generator = InProcessGenerator(params, 7, lambda _: 2, show, lambda *_: ())
    return list(generator.generate((chip(n, *["a name"] * (n % 2)) for n in range(count)), truthful))


def noise(facts: ChipFacts) -> list[Picture]:
    drawn = np.random.default_rng(int(facts.chip_id[-3:]))
    bands = SENSORS[facts.sensor].rgb or ()
    planes = {band: drawn.random((16, 16), np.float32) for band in bands}
    return renderings(planes, SENSORS[facts.sensor], 1, 64)


def test_a_language_model_writes_pairs_in_batches_and_is_not_needed_once_it_has(parrot: Path, tmp_path: Path) -> None:
    for temperature in (0.0, 0.7):
        written = write(tmp_path, parrot, temperature=temperature)
        assert [one.chip_id for one in written] == [f"chip-{n:03d}" for n in range(4)]
        assert all([j.verdict.state for j in one.judged] == [SUPPORTED] * 2 for one in written)
        assert all(one.usage.asks == 1 and one.usage.completion_tokens == 1 for one in written)
        assert written[0].usage.prompt_tokens > 1000
    moved = tmp_path / "moved"
    shutil.copytree(parrot, moved)
    first = write(tmp_path / "warm", moved)
    (moved / "model.safetensors").unlink()
    assert write(tmp_path / "warm", moved) == first


def test_internvl_is_shown_the_pictures_and_answers_the_same_in_two_runs(internvl: Path, tmp_path: Path) -> None:
    for temperature in (0.0, 0.9):
        settings = {"pictures": 1, "max_asks": 2, "temperature": temperature}
        state = torch.random.get_rng_state()
        written = write(tmp_path / f"{temperature}", internvl, show=noise, **settings)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert all(one.usage.asks == 2 and one.failures and "true colour" in one.rendering for one in written)
        assert write(tmp_path / f"{temperature} again", internvl, show=noise, **settings) == written


def test_what_internvl_says_depends_on_the_picture_and_not_on_the_rest_of_its_batch(
    internvl: Path, tmp_path: Path
) -> None:
    params = model_params(tmp_path, "http://127.0.0.1:9/v1", name=str(internvl), **{**TOY, "pictures": 1})
    model = LocalModel(params)
    asks = [Ask("Be brief.", "What is it? " * (n + 1), tuple(noise(chip(n))), 1, 0.0, 1.0, 24, 1) for n in range(3)]
    together = [answer.text for answer in model.answers(asks)]
    assert [model.answers([ask])[0].text for ask in asks] == together
    other = replace(asks[0], pictures=asks[1].pictures)
    assert model.answers([other])[0].text != together[0]
    long = model.answers([replace(asks[0], user="x" * 20_000)])[0]
    assert long.text == "" and "more than the 16384 that the model can hold" in long.fault


def test_weights_and_code_are_pinned_and_weights_are_safetensors(parrot: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="40 hexadecimal digits"):
        write(tmp_path, Path("some/model"), revision="main")
    with pytest.raises(GenerationError, match="remote_code runs code of others"):
        write(tmp_path, parrot, remote_code=True)
    with pytest.raises(GenerationError, match=r"needs transformers 4\.33"):
        write(tmp_path, Path("internlm/internlm-xcomposer2-vl-7b"), revision="0" * 40)
    pickled = tmp_path / "pickled"
    shutil.copytree(parrot, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(GenerationError, match="cannot be loaded"):
        write(tmp_path, pickled)


def test_a_model_that_cannot_be_asked_so_is_refused_by_name(parrot: Path, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match=r"sees no pictures: set qa\.model\.pictures to 0"):
        write(tmp_path, parrot, show=noise, pictures=1)
    mute = tmp_path / "mute"
    shutil.copytree(parrot, mute)
    (mute / "chat_template.jinja").unlink()
    with pytest.raises(GenerationError, match="has no chat template"):
        write(tmp_path, mute)


def test_a_budget_holds_in_process_too(parrot: Path, tmp_path: Path) -> None:
    written = write(tmp_path, parrot, 8, budget={"tokens": 12_000, "cost": None})
    left = [one for one in written if not one.judged]
    assert 0 < len(left) < 8 and all("budget" in one.failures[0] for one in left)
