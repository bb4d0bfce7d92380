"""Answers of all experts and of all questions in one batch are those one after another."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from models.rsmoe.experts import permute_experts
from models.rsmoe.generate import PROMPT_LENGTH, Answered, Prompt, answer, stream, write_prompts
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.prompt import ExpertError
from tests.fixtures.rsmoe import as_dense, ask, batched, specialise, tiles, tiny

torch.set_num_threads(1)
QUESTIONS = (ask(1, 5, joined=True), ask(2, 12), ask(3, 1, groups=3), ask(4, 9, groups=2, joined=True))
TOKENS = 8


@pytest.fixture(scope="module")
def model() -> RsMoeForConditionalGeneration:
    return specialise(tiny())


def texts(answers: list[Answered]) -> list[list[list[int]]]:
    return [one.ids for one in answers]


@pytest.mark.parametrize("realisation", ["shared", "separate"])
def test_a_batch_of_questions_is_answered_as_they_are_one_by_one(realisation: str) -> None:
    network = specialise(tiny(realisation=realisation))
    together = answer(network, QUESTIONS, TOKENS)
    alone = [answer(network, [question], TOKENS)[0] for question in QUESTIONS]
    assert texts(together) == texts(alone)
    assert [len(one.ids) for one in together] == [3, 1, 1, 3], "joined answers have a text of each expert, others one"
    for ours, theirs in zip(together, alone, strict=True):
        assert sum(ours.weights) == pytest.approx(1) and ours.weights == pytest.approx(theirs.weights, abs=1e-5)
    assert len({str(text) for one in together if len(one.ids) == 3 for text in one.ids}) > 3, "experts all say the same"


def test_a_joined_answer_has_what_each_expert_writes_by_itself(model: RsMoeForConditionalGeneration) -> None:
    (together,) = answer(model, QUESTIONS[:1], TOKENS)
    for expert in range(3):
        ids = _greedy(model, QUESTIONS[0], expert)
        assert together.ids[expert] == ids[: len(together.ids[expert])]


def _greedy(model: RsMoeForConditionalGeneration, prompt: Prompt, expert: int) -> list[int]:
    """What one expert writes, from whole forward passes without a cache."""
    arguments = tiles([prompt])
    embed = model.get_input_embeddings()
    with torch.no_grad():
        seen = model.see(**{name: value for name, value in arguments.items() if name != "sample_of_tile"})
        routed = model.route(seen, arguments["sample_of_tile"])
        ids, places = torch.tensor([prompt.ids[expert]]), torch.arange(1, 9)[None]
        embeds = model.embed(ids, seen, None, routed.prompts[:, expert], places)
        said: list[int] = []
        for _ in range(TOKENS):
            tokens = tuple(embeds.shape[1] if number == expert else 0 for number in range(3))
            last = model.logits(model.decode(embeds, tokens), tokens, slice(-1, None))
            said.append(int(last.argmax()))
            embeds = torch.cat([embeds, embed(torch.tensor([said[-1:]]))], dim=1)  # type: ignore[operator]
    return said


def test_the_first_token_of_a_mixed_answer_is_the_likeliest_of_the_experts_probabilities(
    model: RsMoeForConditionalGeneration,
) -> None:
    question = QUESTIONS[1]
    (answered,) = answer(model, [question], 1)
    with torch.no_grad():
        logits = model(**batched(model, [question])).logits
    mixed = torch.zeros(logits.shape[-1])
    for row, (ids, weight) in enumerate(zip(question.ids, answered.weights, strict=True)):
        mixed += weight * logits[row, len(ids) - 1].softmax(-1)
    assert answered.ids == [[int(mixed.argmax())]]


def test_a_streamed_answer_grows_to_the_whole_one(model: RsMoeForConditionalGeneration) -> None:
    for question in QUESTIONS[:2]:
        steps = list(stream(model, question, TOKENS))
        assert steps[-1] == answer(model, [question], TOKENS)[0]
        lengths = [max(map(len, step.ids)) for step in steps]
        # A step that only ends texts adds nothing.
        assert lengths[0] == 1 and all(after - before in (0, 1) for before, after in pairwise(lengths))


def test_experts_that_change_places_change_the_answers() -> None:
    model = specialise(tiny())
    before = answer(model, QUESTIONS, TOKENS)
    permute_experts(model, [1, 2, 0])
    after = answer(model, QUESTIONS, TOKENS)
    assert all(ours != theirs for ours, theirs in zip(texts(before), texts(after), strict=True))
    permute_experts(model, [2, 0, 1])
    assert texts(answer(model, QUESTIONS, TOKENS)) == texts(before)


def test_the_dense_network_answers_what_the_mixture_does_without_its_experts() -> None:
    model = specialise(tiny())
    questions = [replace(question, ids=question.ids[:1], joined=False) for question in QUESTIONS]
    dense = answer(as_dense(model), questions, TOKENS)
    assert texts(answer(model, questions, TOKENS, dense=True)) == texts(dense)
    assert all(one.weights == [] for one in dense)


def test_what_ends_a_text_is_not_part_of_it_and_a_cut_answer_says_so(model: RsMoeForConditionalGeneration) -> None:
    (cut,) = answer(model, QUESTIONS[:1], 2)
    assert not cut.ended and max(map(len, cut.ids)) == 2
    ending = tiny()
    torch.nn.init.zeros_(ending.language_model.lm_head.weight)
    # All tokens are alike: the first is taken, the filler, which ends an answer.
    (ended,) = answer(ending, QUESTIONS[:1], TOKENS)
    assert (ended.ids, ended.ended) == ([[], [], []], True)


def test_the_generative_router_gives_each_expert_the_prompt_that_the_network_without_experts_writes() -> None:
    network = specialise(tiny(router="generative"))
    requests = tuple((*QUESTIONS[0].ids[0][:-1], 20 + number, QUESTIONS[0].ids[0][-1]) for number in range(3))
    question = replace(QUESTIONS[0], requests=requests)
    (prompt,) = write_prompts(network, [question])
    end = network.config.end_token_id
    for request, old, new in zip(requests, question.ids, prompt.ids, strict=True):
        (written,) = answer(network, [replace(question, ids=(request,), joined=False)], PROMPT_LENGTH, dense=True)
        assert list(new[2 : 2 + len(written.ids[0])]) == written.ids[0] != []
        assert new[:2] == old[:2] and new[-5:] == old[-5:] and new.index(end) == 2 + len(written.ids[0])
    (found,) = answer(network, [question], TOKENS)
    assert found.weights == pytest.approx([1 / 3] * 3)
    with pytest.raises(ExpertError, match="writes a prompt for each expert: give as many requests"):
        answer(network, [QUESTIONS[0]], TOKENS)
