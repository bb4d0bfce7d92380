"""The weights that stage 1 begins with: imported ones, the start that params.yaml names, or fresh ones."""

import contextlib
from pathlib import Path

import pytest

from tasks.core.errors import MissingInputError
from tasks.training.params import load_recipe
from tasks.training.setup import begin, load_tokenizer, published
from tasks.vlm.limits import Limits

ROOT = Path(__file__).resolve().parents[3]
START = "somewhere/tiny"


def test_imported_weights_come_before_the_start_and_a_start_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        assert published("tiny") is None and published("small") is None
        with pytest.raises(MissingInputError, match="somewhere/tiny is not there"):
            published("tiny", START)
        Path("somewhere/tiny").mkdir(parents=True)
        assert published("tiny", START) == Path("somewhere/tiny")
        Path("data/weights/tiny").mkdir(parents=True)
        assert published("tiny", START) == Path("data/weights/tiny")


def test_the_demo_begins_with_the_start_and_keeps_what_it_knows_of_cover_and_of_its_limits() -> None:
    with contextlib.chdir(ROOT):
        params, recipe = load_recipe("tiny")
        start = published("tiny", params.start.get("tiny"))
        assert start is not None
        tokenizer, _ = load_tokenizer(start, None)
        model = begin("1", params, recipe.common.seed, ["map/glacier"], tokenizer)
        known = Limits.load(start)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert "spectral-rules/water" in model.config.cover_classes and model.config.cover_classes[-1] == "map/glacier"
    assert known is not None and "presence" in known.kinds
