"""Records of the formats in which conversations with images are exchanged, to turns with `<image>` and the images.

LLaVA's and GeoChat's JSON, ShareGPT's as LLaMA-Factory reads it (its alpaca form, too), OpenAI's messages.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.dialogue.conversations import IMAGE
from tasks.published.repairs import Notes, RowError

SPEAKERS = {
    "human": "human", "user": "human", "gpt": "gpt", "assistant": "gpt", "bot": "gpt", "model": "gpt",
    "chatgpt": "gpt", "system": "system", "developer": "system",
}  # fmt: skip
"""Names that speakers have in these formats."""
UNSUPPORTED = ("video", "videos", "audio", "audios", "tools", "tool_calls", "chosen", "rejected")
KEYS = ("id", "ID", "question_id", "uid")
TEXT_PARTS, IMAGE_PARTS = ("text", "input_text", "output_text"), ("image_url", "image", "input_image")


@dataclass(frozen=True)
class Talk:
    """What a record says: turns as `tasks.published.text.pair_turns` takes them, and what its `<image>` stand for."""

    turns: list[Any]
    images: tuple[str, ...]
    """Paths, addresses or data URLs as written, in the order of their `<image>`."""
    claim: dict[str, Any] = field(default_factory=dict)
    """What the record gives beside the text."""
    kind: str | None = None
    """What is asked, where the record says so."""


Reader = Callable[[Mapping[str, Any], Notes], Talk]
"""From the fields of a record; raises `RowError` where they are not those of the format."""


def key_of(record: Mapping[str, Any]) -> str:
    """The record's own name, empty if it has none."""
    found = next((record[name] for name in KEYS if isinstance(record.get(name), str | int)), "")
    return str(found)[:200]


def llava(record: Mapping[str, Any], notes: Notes) -> Talk:
    """`image` (one, several or none) and `conversations` of `from` and `value`."""
    _refuse_unsupported(record)
    images = [*_references(record.get("image"), "image"), *_references(record.get("images"), "images")]
    return Talk(_turns(record.get("conversations"), record.get("system"), notes), tuple(images))


def sharegpt(record: Mapping[str, Any], notes: Notes) -> Talk:
    """`conversations` or `messages`, with `from`, `value` or `role`, `content`; or `instruction`, `input`, `output`."""
    _refuse_unsupported(record)
    images = tuple(_references(record.get("images", record.get("image")), "images"))
    if "instruction" in record:
        return Talk(_turns(_alpaca(record), record.get("system"), notes), images)
    spoken = record.get("conversations", record.get("messages"))
    return Talk(_turns(spoken, record.get("system"), notes), images)


def messages(record: Mapping[str, Any], notes: Notes) -> Talk:
    """`messages` of `role` and `content`, a text or parts; `images` beside them stand for `<image>` in texts."""
    _refuse_unsupported(record)
    images: list[str] = []
    said = record.get("messages")
    if isinstance(said, list):
        said = [_message(message, number, images) for number, message in enumerate(said, 1)]
    beside = _references(record.get("images"), "images")
    if images and beside:
        raise RowError("image-slots", f"{len(images)} images in the messages and {len(beside)} beside them")
    return Talk(_turns(said, None, notes), tuple(images or beside))


READERS: Mapping[str, Reader] = {"llava": llava, "sharegpt": sharegpt, "messages": messages}


def _refuse_unsupported(record: Mapping[str, Any]) -> None:
    found = [name for name in UNSUPPORTED if record.get(name)]
    if found:
        raise RowError("unsupported", f"the record has {', '.join(found)}; conversations about images are read")


def _references(value: Any, name: str) -> list[str]:
    if value is None or value == "":
        return []
    values = value if isinstance(value, list) else [value]
    texts = [item.get("path", item.get("url")) if isinstance(item, Mapping) else item for item in values]
    if not all(isinstance(text, str) and text for text in texts):
        raise RowError("wrong-type", f"`{name}` must hold paths, found {str(value)[:60]}")
    return texts


def _alpaca(record: Mapping[str, Any]) -> list[Any]:
    history = record.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise RowError("not-a-conversation", "`history` must be a list of [question, answer]")
    asked = [text for text in (record.get("instruction"), record.get("input")) if text]
    if not all(isinstance(text, str) for text in asked):
        raise RowError("wrong-type", "`instruction` and `input` must be texts")
    pairs = [*history, ["\n".join(asked), record.get("output")]]
    return [
        {"from": speaker, "value": text} for pair in pairs for speaker, text in zip(("human", "gpt"), pair, strict=True)
    ]


def _message(message: Any, number: int, images: list[str]) -> Any:
    """The message with its parts made one text; their images are added to `images`."""
    if not isinstance(message, Mapping):
        return message
    if message.get("tool_calls") or message.get("role") in ("tool", "function"):
        raise RowError("unsupported", f"message {number} calls a tool, or answers for one")
    parts = message.get("content")
    if not isinstance(parts, list):
        return message
    texts = [_part(part, number, images) for part in parts]
    return {**message, "content": "\n".join(texts)}


def _part(part: Any, number: int, images: list[str]) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in TEXT_PARTS and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind in IMAGE_PARTS:
        named = part.get("image_url", part.get("image", part.get("path", part.get("url"))))
        named = named.get("url") if isinstance(named, Mapping) else named
        if not isinstance(named, str) or not named:
            raise RowError("missing-image", f"message {number} has an image part that names no image")
        images.append(named)
        return IMAGE
    if isinstance(kind, str) and kind not in (*TEXT_PARTS, *IMAGE_PARTS):
        raise RowError("unsupported", f"message {number} has a part of type {kind[:40]!r}; text and images are read")
    raise RowError("not-a-conversation", f"message {number} has a part that is neither text nor image")


def _turns(spoken: Any, system: Any, notes: Notes) -> list[Any]:
    """Turns of `from` human or gpt and `value`; what is wrong with them, the next to read them says."""
    if spoken is None:
        raise RowError("missing-text", "the record has no conversation")
    if not isinstance(spoken, list):
        raise RowError("not-a-conversation", f"a list of turns is needed, found {type(spoken).__name__}")
    if not spoken:
        raise RowError("empty-conversation", "the conversation is an empty list")
    turns = [_turn(turn) for turn in spoken]
    first = turns[0].get("from") if isinstance(turns[0], Mapping) else None
    if first == "system" or system:
        notes.repair("system-dropped")
    return turns[1:] if first == "system" else turns


def _turn(turn: Any) -> Any:
    if not isinstance(turn, Mapping):
        return turn
    speaker, value = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if not isinstance(speaker, str):
        return turn
    return {"from": SPEAKERS.get(speaker.strip().lower(), speaker), "value": value}


@dataclass(frozen=True)
class TextColumns:
    """Where BigEarthNet.txt's table says what: its published names, unless it was written anew."""

    question: str = "input"
    answer: str = "output"
    patch: str = "patch_id"
    kind: str = "type"
    split: str = "split"
    extra: Sequence[str] = ("category", "country", "season", "climate_zone")


def patch_texts(columns: TextColumns, splits: Sequence[str]) -> Reader:
    """A reader of BigEarthNet.txt's rows: one question, one answer, one patch."""

    def read(record: Mapping[str, Any], _: Notes) -> Talk:
        missing = [name for name in (columns.question, columns.answer, columns.patch) if name not in record]
        if missing:
            raise RowError("missing-text", f"there is no column '{missing[0]}'; found {', '.join(map(str, record))}")
        split = record.get(columns.split)
        if splits and split is not None and split not in splits:
            raise RowError("other-split", f"the row is of split '{split}'; asked for {', '.join(splits)}")
        patch, kind = record[columns.patch], record.get(columns.kind)
        if not isinstance(patch, str) or not patch:
            raise RowError("missing-image", f"the row names no patch in '{columns.patch}'")
        asked = record[columns.question]
        said = [
            {"from": "human", "value": f"{IMAGE}\n{asked}" if isinstance(asked, str) else asked},
            {"from": "gpt", "value": record[columns.answer]},
        ]
        claim = {name: record[name] for name in (columns.kind, *columns.extra) if record.get(name) is not None}
        return Talk(said, (patch,), claim, kind if isinstance(kind, str) else None)

    return read
