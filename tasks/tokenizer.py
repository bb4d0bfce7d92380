"""Stage `tokenizer`: a small byte-level tokenizer for the presets that have none, from the training
conversations.

Every tag of EarthDial's registry and every token that steers the model is one token, whatever the text. The
folder is in the layout of transformers: `AutoTokenizer.from_pretrained` loads it, with the chat layout as its
template.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from models.parts.prompt import CHAT_TEMPLATE, CONTROL_TOKENS, END, MARKUP_TOKENS, PAD, SYSTEM
from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, TrainingError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, atomic, main, write_json
from tasks.dialogue import conversations
from tasks.dialogue.conversations import TAGS

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TokenizerParams(Section):
    """`tokenizer:` in params.yaml."""

    vocab: int = Field(ge=320, le=200_000, description="most tokens, tags included; small data give fewer")
    min_frequency: int = Field(ge=1, description="times a pair of tokens must occur to become one")


def training_texts() -> Iterator[str]:
    """Every turn of the training side's conversations, without tags, sensor by sensor and part by part."""
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    chosen = {c for c, s in zip(split["chip_id"].to_pylist(), split["split"].to_pylist(), strict=True) if s == "train"}
    values = read_params()
    for sensor in values["sensors"]["enabled"]:
        for part in values["grid"]["parts"]:
            table = tables.read(paths.qa(sensor, part) / "conversations.parquet", ["chip_id", "conversations"])
            for row in table.to_pylist():
                if row["chip_id"] in chosen:
                    for question, answer in conversations.load(row["conversations"]):
                        yield from (question.rpartition("\n")[2], answer)


def train(texts: Iterable[str], params: TokenizerParams) -> "Tokenizer":
    """Train a byte-level BPE; the same texts in the same order give the same tokenizer.

    Raises:
        EmptyStageError: there is no text.
        TrainingError: a tag or control token is not one token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    corpus = list(texts)
    if not corpus:
        raise EmptyStageError("no conversation is about a training chip; see data/qa and data/split")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    words = (*MARKUP_TOKENS, *TAGS)
    special = [AddedToken(token, special=True, normalized=False) for token in CONTROL_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=params.vocab - len(words),
        min_frequency=params.min_frequency,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([SYSTEM, SYSTEM, *corpus], trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in words])
    check_single([*CONTROL_TOKENS, *words], tokenizer)
    return tokenizer


def check_single(tokens: Sequence[str], tokenizer: "Tokenizer") -> None:
    """Refuse a tokenizer that splits one of `tokens`, also in the middle of a text."""
    for token in tokens:
        ids = tokenizer.encode(f"a {token}b").ids
        if tokenizer.token_to_id(token) not in ids or len(tokenizer.encode(token).ids) != 1:
            raise TrainingError(f"'{token}' is {len(tokenizer.encode(token).ids)} tokens, it must be one")


def configuration(max_length: int) -> dict[str, Any]:
    """`tokenizer_config.json` of transformers."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "chat_template": CHAT_TEMPLATE,
    }


def run() -> Summary:
    """Train the tokenizer on the conversations of all enabled sensors."""
    texts = list(training_texts())
    tokenizer = train(texts, load(TokenizerParams, "tokenizer"))
    folder = paths.tokenizer()
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / "tokenizer.json") as partial:
        partial.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, indent=1) + "\n")
    write_json(folder / "tokenizer_config.json", configuration(2**20))
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(texts)]
    return {
        "texts": len(texts),
        "vocab": tokenizer.get_vocab_size(),
        "tokens": sum(lengths),
        "longest": max(lengths),
    }


if __name__ == "__main__":
    main("tokenizer", run)
