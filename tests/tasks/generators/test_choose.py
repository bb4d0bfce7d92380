"""The generator that params.yaml asks for, with chips from their shards and pairs of templates to be worded anew."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tasks.core import tables
from tasks.core.errors import DamagedFileError, GenerationError
from tasks.dialogue.generator import PairGenerator
from tasks.dialogue.pairs import CONTRADICTED, SUPPORTED
from tasks.dialogue.verifier import judge
from tasks.earth import chip_schema
from tasks.earth.chip_pixels import to_geotiff
from tasks.earth.sensors import SENSORS
from tasks.generators.choose import drawn_count, make_generator
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tests.fixtures.model_params import chip, model_params
from tests.fixtures.model_server import pairs_text, serve_model

SENSOR = "sentinel-2"
LIE = ("Is there any tree cover in this image?", "No.")
TEMPLATES = TemplateGenerator(Choice(3.0, 7, ("presence", "absence", "comparison")))


def params(folder: Path, name: str, url: str = "http://127.0.0.1:9/v1", **changes: Any) -> Any:
    model = model_params(folder, url, **changes)
    return SimpleNamespace(generator=name, seed=7, model=model, pairs_of=lambda _: 3.0)


def made(asked: Any, folder: Path) -> PairGenerator:
    return make_generator(asked, SENSOR, folder, TEMPLATES)


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    bands = list(SENSORS[SENSOR].rgb or ())
    noise = np.random.default_rng(0)
    rows = [
        {
            "chip_id": chip(number).chip_id,
            "pixels": to_geotiff(noise.random((3, 16, 16), np.float32), bands, 32633, 0.0, 0.0, 10.0),
        }
        for number in range(3)
    ]
    tables.write_rows(rows, chip_schema.SCHEMA, tmp_path / "shard-00000.parquet", group=chip_schema.GROUP)
    return tmp_path


def test_templates_ask_nobody(tmp_path: Path) -> None:
    assert made(params(tmp_path, "template"), tmp_path) is TEMPLATES


def test_what_would_answer_wrongly_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="server_version is missing"):
        made(params(tmp_path, "internlm"), tmp_path / "nowhere")
    with pytest.raises(GenerationError, match="40 hexadecimal digits"):
        made(params(tmp_path, "transformers"), tmp_path / "nowhere")


def test_a_model_is_shown_the_chips_of_the_shards_as_data_urls(shards: Path) -> None:
    with serve_model(lambda *_: pairs_text(("Is there any tree cover here?", "Yes."))) as server:
        generator = made(params(shards, "openai", server.url, pictures=1, picture_side=96), shards)
        written = list(generator.generate([chip(number) for number in range(3)], judge))
    assert [[one.verdict.state for one in chip_.judged] for chip_ in written] == [[SUPPORTED]] * 3
    assert all("true colour" in one.rendering and "16 x 16 to 96 x 96" in one.rendering for one in written)
    shown = [body["messages"][1]["content"][0]["image_url"]["url"] for body in server.record.asked]
    assert len(set(shown)) == 3 and all(url.startswith("data:image/png;base64,") for url in shown)
    again = made(params(shards, "openai", server.url, pictures=1, picture_side=96), shards)
    assert list(again.generate([chip(number) for number in range(3)], judge)) == written


def test_a_chip_that_no_shard_holds_is_an_error(shards: Path) -> None:
    generator = made(params(shards, "openai", pictures=1), shards)
    with pytest.raises(DamagedFileError, match="no shard holds chip chip-099"):
        list(generator.generate([chip(99)], judge))


def test_pairs_of_templates_are_worded_anew_and_only_the_wrong_ones_again(tmp_path: Path) -> None:
    def reword(body: dict[str, Any], _: int) -> str:
        text = body["messages"][1]["content"]
        given = json.loads(text[text.rindex('{"pairs"') :])["pairs"]
        rows = [(row["question"].replace("image", "picture"), row["answer"]) for row in given]
        return pairs_text(*rows) if "These are wrong" in text else pairs_text(LIE, *rows[1:])

    with serve_model(reword) as server:
        generator = made(params(tmp_path, "openai", server.url, task="reword"), tmp_path)
        (one,) = generator.generate([chip(0)], judge)
    (templates,) = TEMPLATES.generate([chip(0)], judge)
    first, second = (body["messages"][1]["content"] for body in server.record.asked)
    assert server.record.asked[0]["messages"][0]["content"].startswith("You word question-answer pairs anew")
    assert first.count('"question"') == 3 and second.count('"reason"') == 1
    assert second[second.index("Word these anew") :].count('"question"') == 1
    assert [(j.verdict.state, j.attempt) for j in one.judged] == [
        (CONTRADICTED, 1), (SUPPORTED, 1), (SUPPORTED, 1), (SUPPORTED, 2),
    ]  # fmt: skip
    kinds = [j.pair.question_type for j in templates.judged]
    assert [j.pair.question_type for j in one.judged] == [*kinds, kinds[0]]


def test_a_fraction_of_a_pair_is_a_share_of_the_chips_with_one_more() -> None:
    counts = [drawn_count(3.82, f"7/chip-{number}") for number in range(4000)]
    assert set(counts) == {3, 4} and abs(float(np.mean(counts)) - 3.82) < 0.03
    assert drawn_count(0.2, "7/chip") == 1
