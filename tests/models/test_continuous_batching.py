import random

import pytest
import torch

from models.earthdial.continuous_batching import Usage, answer_all
from models.earthdial.generate import generate
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.presets import make_config
from models.earthdial.rows import Prompt

torch.set_num_threads(1)
SLOT, END, FILL = 7, 1, 0
MAX_NEW_TOKENS = 24


def model_of(**text) -> EarthDialForConditionalGeneration:
    torch.manual_seed(0)
    config = make_config("tiny", vocab_size=48, image_token_id=SLOT, end_token_id=END, pad_token_id=FILL)
    for name, value in text.items():
        setattr(config.text_config, name, value)
    model = EarthDialForConditionalGeneration(config).eval()
    with torch.no_grad():  # answers end at different lengths
        model.lm_head.weight[END] *= 3
    return model


def questions(model, count=14, longest=40):
    """Prompts of different lengths, with none, one or two images of one or two groups."""
    drawn, pixels = random.Random(0), torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        ids = [drawn.randrange(10, 48) for _ in range(drawn.randrange(4, longest))]
        groups = [1, 2][number % 2]
        tiles = number % 3
        ids[2:2] = [SLOT] * model.config.tokens_per_tile * tiles
        side = model.config.image_size
        images = {
            "pixel_values": torch.randn(tiles * groups, 3, side, side, generator=pixels),
            "tile_of_group": torch.arange(tiles).repeat_interleave(groups),
            "wavelengths": torch.rand(tiles * groups, 3, generator=pixels) + 0.4,
            "band_mask": torch.ones(tiles * groups, 3, dtype=torch.bool),
            "days": torch.zeros(tiles * groups),
        }
        made.append(Prompt(ids, MAX_NEW_TOKENS, images if tiles else {}))
    return made


def alone(model, prompt):
    return generate(model, [prompt.ids], dict(prompt.images), MAX_NEW_TOKENS)[0]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_answers_in_a_batch_are_those_that_each_question_gets_alone(batch_size):
    model = model_of()
    asked = questions(model)
    answers = {done.number: done for done in answer_all(model, asked, batch_size)}
    expected = [alone(model, prompt) for prompt in asked]
    assert [answers[number].ids for number in range(len(asked))] == expected
    assert len({len(answer) for answer in expected}) > 3
    assert [answers[number].ended for number in range(len(asked))] == [len(ids) < MAX_NEW_TOKENS for ids in expected]


def test_a_freed_slot_takes_the_next_question_at_once():
    model = model_of()
    usage = Usage(4)
    taken = []

    def watched():
        for number, prompt in enumerate(questions(model)):
            taken.append(number)
            yield prompt

    for ended, _ in enumerate(answer_all(model, watched(), 4, usage), start=1):
        assert len(taken) <= ended + 5  # those in the batch, and the one that waits at the door
    # Whoever gives a freed row away at once is done within the work shared by all rows and one longest answer.
    assert usage.decoded <= usage.steps * 4 and usage.steps <= usage.decoded / 4 + MAX_NEW_TOKENS


def test_a_window_of_attention_hides_what_it_hides_alone():
    model = model_of(sliding_window=9)
    asked = questions(model, 6)
    answers = {done.number: done.ids for done in answer_all(model, asked, 3)}
    assert [answers[number] for number in range(6)] == [alone(model, prompt) for prompt in asked]


def test_a_question_beyond_the_trained_positions_is_answered_alone_and_leaves_the_others_as_they_are():
    factors = {"short_factor": [1.0] * 16, "long_factor": [3.0] * 16}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 60, **factors}
    model = model_of(rope_parameters=rope)
    assert model.model.language_model.rotary_emb.rope_type == "longrope"
    asked = questions(model, 8)
    answers = {done.number: done.ids for done in answer_all(model, asked, 4)}
    assert any(len(prompt.ids) + MAX_NEW_TOKENS > 60 for prompt in asked)
    assert any(len(prompt.ids) + MAX_NEW_TOKENS <= 60 for prompt in asked)
    assert [answers[number] for number in range(8)] == [alone(model, prompt) for prompt in asked]
