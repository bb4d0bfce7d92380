"""Messages of a request, of both of OpenAI's forms, into turns: a question with its images, and its answer.

Roles need not alternate. Messages of one role in a row are one turn; system and developer messages are the system
prompt, wherever they stand; an empty one says nothing. Where text stands between images, the model reads both in the
order they were sent; otherwise images stand before the text, as in training.

Images come as data URLs in the messages and in no other way: the server opens no file and no address that a request
names.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from models.parts.prompt import IMAGE
from tasks.core.data_url import DataURLError, content_of
from tasks.serving.errors import RequestError
from tasks.serving.fields import Fields, Idle

APART = re.compile(r"i*t*|t*i*")
"""Of a message as letters: its images all before its text, or all behind it."""


class ImageUrl(Fields):
    """OpenAI's `image_url`, with fields of our own for what an image's bytes may not tell."""

    without_effect = frozenset({"format", "media_type", "mime_type"})  # the bytes say it

    url: str
    detail: Literal["auto", "low", "high", "original"] = "auto"
    sensor: str | None = None
    date: str | None = None
    scale: float | None = Field(default=None, allow_inf_nan=False)
    offset: float | None = Field(default=None, allow_inf_nan=False)
    unit: str | None = None
    name: str | None = Field(default=None, max_length=200)


def _as_image_url(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


UrlOrObject = Annotated[ImageUrl, BeforeValidator(_as_image_url)]


class _Part(Fields):
    without_effect = frozenset({"cache_control", "prompt_cache_breakpoint", "annotations", "logprobs", "id"})


class ImagePart(_Part):
    """An image within a message."""

    type: Literal["image_url"]
    image_url: UrlOrObject


class InputImagePart(_Part):
    """An image within a message of the Responses API, whose fields of ours stand beside the address."""

    as_it_is: ClassVar[Idle] = {"file_id": ("",)}

    type: Literal["input_image"]
    image_url: UrlOrObject
    detail: Literal["auto", "low", "high", "original"] = "auto"


class TextPart(_Part):
    """Text within a message."""

    type: Literal["text", "input_text", "output_text"]
    text: str


class RefusalPart(_Part):
    """What the assistant said instead of an answer."""

    type: Literal["refusal"]
    refusal: str


def _kind(part: Any) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return {"input_text": "text", "output_text": "text"}.get(kind, kind) if isinstance(kind, str) else None


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImagePart, Tag("image_url")]
    | Annotated[InputImagePart, Tag("input_image")]
    | Annotated[RefusalPart, Tag("refusal")],
    Discriminator(
        _kind,
        custom_error_type="part",
        custom_error_message="a part is of type text or image_url (input_text or input_image in /v1/responses)",
    ),
]


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class Message(Fields):
    """One message of the conversation."""

    as_it_is: ClassVar[Idle] = {
        "tool_calls": ([],),
        "function_call": (),
        "audio": (),
        "refusal": ("",),
        "tool_call_id": ("",),
    }
    without_effect = frozenset(
        # Who it was, and what the API itself sent with an earlier answer. Reasoning of earlier turns is left out, as
        # chat templates leave it out.
        {"name", "id", "status", "phase", "annotations", "reasoning", "reasoning_content", "reasoning_details"}
    )

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[Part], BeforeValidator(_as_parts)] = Field(default=[])
    refusal: str | None = None


@dataclass(frozen=True)
class SentImage:
    """An image of a request: its bytes, and what the request says of it."""

    content: bytes
    image_url: ImageUrl
    name: str
    """What to call it in errors; a name may tell the sensor too."""
    where: str
    """Its place in the request."""


@dataclass(frozen=True)
class ChatTurn:
    """What a user said, with its images, and the answer that was given to it; None for the one to answer."""

    question: str
    images: tuple[SentImage, ...]
    answer: str | None


@dataclass(frozen=True)
class ParsedChat:
    """A conversation, understood."""

    turns: tuple[ChatTurn, ...]
    system: str | None


def read_turns(messages: Sequence[Message], where: str = "messages") -> ParsedChat:
    """The conversation of a request, the last question open.

    Args:
        messages: of any roles, in any order.
        where: the field that holds them.

    Raises:
        RequestError: there is no question to answer, a text cannot be read, or an image is not a data URL.
    """
    turns: list[ChatTurn] = []
    system: list[str] = []
    asked: list[str | SentImage] = []
    for number, message in enumerate(messages):
        parts = _parts(message, f"{where}.{number}")
        texts = [part for part in parts if isinstance(part, str)]
        if message.role == "user":
            asked += parts
        elif len(texts) < len(parts):
            raise RequestError(
                f"{where}.{number}: an image in a message of the {message.role}; images come with the user's",
                code="invalid_messages",
                param=f"{where}.{number}",
            )
        elif message.role != "assistant":
            system += texts
        elif texts and (asked or not turns):
            turns.append(_turn(asked, "\n".join(texts)))
            asked = []
        elif texts:
            last = turns.pop()
            turns.append(ChatTurn(last.question, last.images, "\n".join([last.answer or "", *texts])))
    _need_question(messages, asked, where)
    return ParsedChat((*turns, _turn(asked, None)), "\n".join(system) or None)


def _need_question(messages: Sequence[Message], asked: Sequence[str | SentImage], where: str) -> None:
    last = f"{where}.{len(messages) - 1}"
    if not asked and messages[-1].role != "user":
        message = f"the last message is of the {messages[-1].role}; end with the user's question"
        raise RequestError(message, code="invalid_messages", param=last)
    if not any(isinstance(part, str) for part in asked):
        raise RequestError(f"{last}: the text is empty; ask something", code="empty_message", param=last)


def _turn(asked: Sequence[str | SentImage], answer: str | None) -> ChatTurn:
    images = tuple(part for part in asked if isinstance(part, SentImage))
    texts = [part for part in asked if isinstance(part, str)]
    kinds = "".join("t" if isinstance(part, str) else "i" for part in asked)
    placed = any(IMAGE in text for text in texts)
    if not APART.fullmatch(kinds) and not placed:
        texts = [part if isinstance(part, str) else IMAGE for part in asked]
    return ChatTurn("\n".join(texts), images, answer)


def _parts(message: Message, where: str) -> list[str | SentImage]:
    """Texts that say something, and images, in their order."""
    parts: list[str | SentImage] = []
    for number, part in enumerate(message.content):
        if isinstance(part, ImagePart | InputImagePart):
            place = f"{where}.content.{number}"
            url = part.image_url
            if isinstance(part, InputImagePart) and url.detail == "auto":
                url = url.model_copy(update={"detail": part.detail})
            parts.append(SentImage(decode_data_url(url.url, place), url, url.name or place, place))
        elif text := (part.text if isinstance(part, TextPart) else part.refusal).strip():
            parts.append(text)
    if message.refusal and message.refusal.strip():
        parts.append(message.refusal.strip())
    return parts


def decode_data_url(url: str, where: str) -> bytes:
    """The bytes of a data URL.

    Raises:
        RequestError: it is an address or a path, another kind of file, or not base64.
    """
    try:
        return content_of(url)
    except DataURLError as error:
        code = "invalid_image_url" if error.is_address else "invalid_image"
        raise RequestError(f"{where}: {error}", code=code, param=where) from error
