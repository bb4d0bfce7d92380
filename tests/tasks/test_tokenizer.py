"""tasks/tokenizer.py: one token a tag, the same bytes every time, readable by transformers."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from models.parts.prompt import CONTROL_TOKENS, MARKUP_TOKENS, encode, render
from tasks import tokenizer as stage
from tasks.core import paths
from tasks.core.errors import EmptyStageError, TrainingError
from tasks.dialogue.conversations import TAGS
from tasks.vlm.answerer import load_tokenizer
from tests.fixtures.small_dataset import ROOT, write_dataset

PARAMS = stage.TokenizerParams(vocab=600, min_frequency=2)
TURNS = [("[classify] [s2_ms_10] <image>\nWhat covers most of this image?", "bare ground")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose tokenizer is trained."""
    path = tmp_path_factory.mktemp("tokenizer")
    write_dataset(path, 8, ("sentinel-1",))
    with contextlib.chdir(path):
        stage.run()
    return path


def test_every_tag_and_control_token_is_one_token_wherever_it_stands(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / paths.tokenizer())
    ids = {tokenizer.convert_tokens_to_ids(token) for token in (*CONTROL_TOKENS, *MARKUP_TOKENS, *TAGS)}
    assert len(ids) == len(CONTROL_TOKENS) + len(MARKUP_TOKENS) + len(TAGS)
    for token in (*CONTROL_TOKENS, *MARKUP_TOKENS, *TAGS):
        assert tokenizer.convert_tokens_to_ids(token) in tokenizer.encode(f"see{token}there", add_special_tokens=False)


def test_any_text_comes_back_and_boxes_survive_decoding(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / paths.tokenizer())
    for text in ("Größe: 12 %, 東京", "<ref>the lake</ref><box>[[1, 22, 333, 44]]</box>"):
        ids = tokenizer.encode(f"{text}<|end|>", add_special_tokens=False)
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_tags_added_to_a_published_tokenizer_are_one_token_each_and_only_they_survive_decoding(tmp_path: Path) -> None:
    # A byte-level one that knows none of them, as those of other language models are.
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain.train_from_iterator(["[classify] the box", "s2 ms 10"] * 9, trainers.BpeTrainer(initial_alphabet=alphabet))
    foreign = PreTrainedTokenizerFast(tokenizer_object=plain)
    foreign.add_tokens([*CONTROL_TOKENS, *MARKUP_TOKENS, *TAGS], special_tokens=True)
    foreign.save_pretrained(tmp_path)
    loaded = load_tokenizer(tmp_path)
    for token in (*CONTROL_TOKENS, *MARKUP_TOKENS, *TAGS):
        ids = loaded.encode(f"see{token}there", add_special_tokens=False)
        assert ids.count(loaded.convert_tokens_to_ids(token)) == 1
        assert loaded.encode(token, add_special_tokens=False) == foreign.encode(token, add_special_tokens=False)
        decoded = loaded.decode(ids, skip_special_tokens=True)
        assert decoded == ("seethere" if token in CONTROL_TOKENS else f"see{token}there")


def test_the_chat_template_and_our_prompt_are_the_same_tokens(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder / paths.tokenizer())
    question = TURNS[0][0].replace("<image>", "<img><IMG_CONTEXT><IMG_CONTEXT></img>")
    messages = [{"role": "user", "content": question}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == render([(question, "")])
    prompt = encode(tokenizer, [(TURNS[0][0], "")], [2])
    assert tokenizer.encode(text, add_special_tokens=False) == prompt.ids
    full = encode(tokenizer, TURNS, [2])
    assert tokenizer.encode(render([(question, "bare ground")]), add_special_tokens=False) == full.ids


def test_another_process_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path, 8, ("sentinel-1",))
    command = [sys.executable, "-m", "tasks.tokenizer"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}, check=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "data/tokenizer" / name).read_bytes() == (folder / "data/tokenizer" / name).read_bytes()


def test_nothing_of_the_test_side_is_read(folder: Path) -> None:
    with contextlib.chdir(folder):
        assert len(list(stage.training_texts())) == 10 * 3 * 2


def test_no_text_is_an_error() -> None:
    with pytest.raises(EmptyStageError, match="no conversation"):
        stage.train([], PARAMS)


def test_a_tokenizer_that_splits_a_tag_is_refused_by_its_name() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    plain = Tokenizer(
        models.BPE(vocab={c: n for n, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(TrainingError, match=r"'\[s2_ms_10\]' is 10 tokens, it must be one"):
        stage.check_single(["[s2_ms_10]"], plain)
