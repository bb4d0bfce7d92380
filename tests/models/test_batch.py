"""The batch that questions join and leave at any step: what one asks for is its own, and what is kept is right."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

import pytest
import torch

from models.earthdial.batch import Batch, Taken
from models.earthdial.choose import Choosing, choose
from models.earthdial.kept import Kept, identify
from models.earthdial.rows import Prompt
from models.earthdial.tiles import described
from tests.models.test_continuous_batching import MAX_NEW_TOKENS, SLOT, alone, model_of, questions

MODEL = model_of()


@cache
def natural(number: int) -> list[int]:
    """The answer that one of the questions gets alone."""
    return alone(MODEL, questions(MODEL, 24)[number])


class Answers:
    """What has come of each question."""

    def __init__(self) -> None:
        self.ids: dict[int, list[int]] = {}
        self.last: dict[int, Taken] = {}
        self.cached: dict[int, int] = {}

    def add(self, taken: Iterable[Taken]) -> None:
        for one in taken:
            self.ids.setdefault(one.number, [])
            self.cached[one.number] = one.cached
            if one.chosen is not None:
                self.ids[one.number].append(one.chosen.token)
            if one.last:
                self.last[one.number] = one


def run(batch: Batch, prompts: Sequence[Prompt], leaving: Sequence[int] = ()) -> Answers:
    """All answers; one more question joins at every step, and those that leave do so at the step after."""
    answers, waiting = Answers(), list(enumerate(prompts))
    left = set(leaving)
    while waiting or batch.running:
        if waiting and batch.admits(waiting[0][1]):
            answers.add(batch.begin([waiting.pop(0)]))
        if batch.running:
            answers.add(batch.step())
        for number in [one.number for one in batch.running if one.number in left]:
            batch.leave(number)
    return answers


def identified(prompt: Prompt) -> Prompt:
    images = described(prompt.images)
    return replace(prompt, identity=identify(prompt.ids, images, SLOT, MODEL.config.tokens_per_tile))


def test_who_leaves_at_any_step_takes_nothing_of_the_others() -> None:
    asked = questions(MODEL)
    answers = run(Batch(MODEL, 4), asked, leaving=(1, 4, 5, 10))
    for number in set(range(len(asked))) - {1, 4, 5, 10}:
        assert answers.ids[number] == natural(number)


def test_an_answer_that_is_as_long_as_it_may_be_is_complete_and_a_longer_one_is_cut() -> None:
    asked = questions(MODEL)
    number = next(n for n in range(len(asked)) if 2 < len(natural(n)) < MAX_NEW_TOKENS)
    exact, short = (replace(asked[number], max_new_tokens=len(natural(number)) - less) for less in (0, 1))
    answers = run(Batch(MODEL, 2), [exact, short])
    assert answers.ids[0] == natural(number) and answers.last[0].ended and not answers.last[0].cut
    assert answers.ids[1] == natural(number)[:-1] and answers.last[1].cut and not answers.last[1].ended


def test_the_same_seed_draws_the_same_tokens_whoever_is_beside() -> None:
    asked = questions(MODEL)

    def drawing(prompt: Prompt, seed: int) -> Prompt:
        choosing = Choosing(1.3, 0.9, torch.Generator().manual_seed(seed))
        return replace(prompt, choosing=choosing)

    together = run(Batch(MODEL, 5), [drawing(prompt, n) if n % 2 else prompt for n, prompt in enumerate(asked)])
    for number, prompt in enumerate(asked):
        if number % 2:
            assert run(Batch(MODEL, 1), [drawing(prompt, number)]).ids[0] == together.ids[number]
        else:
            assert together.ids[number] == natural(number)
    other = run(Batch(MODEL, 7), [drawing(prompt, 99) for prompt in asked[1::2]])
    assert list(other.ids.values()) != [together.ids[number] for number in range(1, len(asked), 2)]


def test_tokens_are_drawn_as_likely_as_they_are_and_never_beyond_top_p() -> None:
    p = torch.tensor([0.1, 0.4, 0.2, 0.3])
    generator = torch.Generator().manual_seed(0)

    def share(**more: float) -> list[float]:
        drawing = [Choosing(generator=generator, **more)] * 4000
        chosen = choose(p.log().expand(4000, 4), drawing, [None] * 4000)
        return [sum(one.token == token for one in chosen) / 4000 for token in range(4)]

    assert share(temperature=1.0) == pytest.approx(p.tolist(), abs=0.03)
    assert share(temperature=1.0, top_p=0.65) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=0.03)
    assert share(temperature=1e-6) == [0, 1, 0, 0]
    squared = (p**2 / (p**2).sum()).tolist()
    assert share(temperature=0.5) == pytest.approx(squared, abs=0.03)


def test_probabilities_are_those_of_the_model_whatever_is_drawn() -> None:
    logits = torch.randn(3, 9, generator=torch.Generator().manual_seed(1))
    drawing = Choosing(0.7, 0.5, torch.Generator().manual_seed(2), top=2)
    chosen = choose(logits, [Choosing(top=4), drawing, Choosing()], [None, None, torch.tensor([False] * 8 + [True])])
    log_p = logits.log_softmax(-1)
    assert chosen[0].logprob == pytest.approx(float(log_p[0].max())) == pytest.approx(chosen[0].top[0][1])
    assert [token for token, _ in chosen[0].top] == log_p[0].argsort(descending=True)[:4].tolist()
    assert len(chosen[1].top) == 2 and chosen[1].logprob == pytest.approx(float(log_p[1, chosen[1].token]))
    assert chosen[2].token == 8 and chosen[2].top == () and chosen[2].logprob != chosen[2].logprob


@pytest.mark.parametrize("rows", [1, 4])
def test_the_next_turn_reads_only_what_is_new_and_is_answered_as_without_what_is_kept(rows: int) -> None:
    kept = Kept(2**24)
    batch = Batch(MODEL, rows, kept)
    asked = [identified(prompt) for prompt in questions(MODEL)]
    first = run(batch, asked)
    assert max(first.cached.values()) <= 2  # a word or two that another question happens to begin with
    more = [11, 12, 13, 14]
    later = [identified(replace(one, ids=[*one.ids, *first.ids[n], *more])) for n, one in enumerate(asked)]
    second = run(batch, later)
    for number, prompt in enumerate(later):
        assert second.ids[number] == alone(MODEL, prompt)
        # The last token of an answer that was cut was chosen, and read only to see whether more comes.
        assert second.cached[number] >= len(prompt.ids) - len(more) - 1
    again = run(batch, later)
    assert again.ids == second.ids
    assert all(again.cached[number] == len(prompt.ids) - 1 for number, prompt in enumerate(later))


def test_another_image_with_the_same_text_is_never_taken_for_it() -> None:
    batch = Batch(MODEL, 2, Kept(2**24))
    shown = next(prompt for prompt in questions(MODEL) if len(prompt.images.get("pixel_values", ())) == 4)
    start = shown.ids.index(SLOT)
    run(batch, [identified(shown)])
    for name in ("pixel_values", "wavelengths", "band_mask", "days"):
        changed = shown.images[name].clone()
        changed[-1] = ~changed[-1] if changed.dtype == torch.bool else changed[-1] + 1
        if name == "band_mask":
            changed[-1, 0] = True
        other = identified(replace(shown, images={**shown.images, name: changed}))
        answers = run(batch, [other])
        # The first of its two tiles is the same, and is at hand.
        assert answers.cached[0] == start + MODEL.config.tokens_per_tile
        assert answers.ids[0] == alone(MODEL, other)


def test_what_is_kept_stays_within_its_bytes() -> None:
    kept = Kept(300_000)
    batch = Batch(MODEL, 3, kept)
    asked = [identified(prompt) for prompt in questions(MODEL, 24)]
    for _ in range(2):
        answers = run(batch, asked)
        assert 0 < kept.size <= 300_000
    assert [answers.ids[number] for number in range(24)] == [natural(number) for number in range(24)]
    nothing = Kept(10)
    run(Batch(MODEL, 3, nothing), asked[:3])
    assert nothing.size == 0


def test_an_image_is_encoded_once_whatever_is_asked_about_it() -> None:
    batch = Batch(MODEL, 3, Kept(2**24))
    shown = next(prompt for prompt in questions(MODEL) if prompt.images)
    asked = [identified(replace(shown, ids=[word, *shown.ids])) for word in (20, 21, 22)]
    encoded: list[int] = []
    handle = MODEL.model.vision_tower.embeddings.register_forward_hook(lambda *_: encoded.append(1))
    answers = run(batch, asked)
    handle.remove()
    assert len(encoded) == 1 and set(answers.cached.values()) == {0}
    assert [answers.ids[number] for number in range(3)] == [alone(MODEL, prompt) for prompt in asked]


def test_an_answer_that_is_no_number_fails_alone_and_leaves_no_trace_in_its_row() -> None:
    batch = Batch(MODEL, 3, Kept(2**24))
    asked = [identified(prompt) for prompt in questions(MODEL, 9, longest=12)]
    broken = next(n for n, one in enumerate(asked) if one.images)
    pixels = torch.full_like(asked[broken].images["pixel_values"], torch.nan)
    asked[broken] = identified(replace(asked[broken], images={**asked[broken].images, "pixel_values": pixels}))
    for _ in range(2):
        answers = run(batch, asked)
        assert "no number" in answers.last[broken].failed and answers.ids[broken] == []
        for number in set(range(9)) - {broken}:
            assert answers.ids[number] == alone(MODEL, asked[number])


def test_an_image_that_nobody_waits_for_is_not_encoded_and_nothing_of_it_is_kept() -> None:
    batch = Batch(MODEL, 3, Kept(2**24))
    first, second = [identified(prompt) for prompt in questions(MODEL) if prompt.images][:2]
    encoded: list[int] = []
    patches = MODEL.model.vision_tower.embeddings
    handle = patches.register_forward_hook(lambda _, given, embedded: encoded.append(len(embedded)))
    answers = Answers()
    answers.add(batch.begin([(0, first), (1, second)], lambda number: number == 0))
    handle.remove()
    batch.leave(0)
    while batch.running:
        answers.add(batch.step())
    assert sum(encoded) == len(second.images["pixel_values"]) and answers.ids[1] == alone(MODEL, second)
    assert run(batch, [first]).ids[0] == alone(MODEL, first)


def test_a_question_for_which_there_is_no_room_leaves_none_of_it_taken() -> None:
    batch = Batch(MODEL, 2)
    short, long = questions(MODEL)[:2]
    list(batch.begin([(0, short)]))
    before = batch.cache.capacity
    with pytest.raises(RuntimeError):
        list(batch.begin([(1, replace(long, max_new_tokens=10**13))]))
    assert batch.cache.capacity == before == max(tensor.shape[2] for one in batch.cache.held for tensor in one.tensors)
    answers = Answers()
    while batch.running:
        answers.add(batch.step())
    assert len(answers.ids[0]) == len(natural(0)) - 1
