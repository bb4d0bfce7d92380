"""What a chat completion may ask for: OpenAI's request, checked field by field, into turns and images.

Images come as data URLs in the messages and in no other way: the server opens no file and no address that a
request names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.core.data_url import DataURLError, content_of
from tasks.serving.errors import RequestError

MIMES = ("image/png", "image/jpeg", "image/tiff", "image/webp", "image/gif", "image/bmp", "image/jp2")
T = TypeVar("T", bound=BaseModel)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ImageUrl(_Strict):
    """OpenAI's `image_url`, with fields of our own for what an image's bytes may not tell."""

    url: str
    detail: Literal["auto", "low", "high"] = "auto"
    sensor: str | None = None
    date: str | None = None
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    name: str | None = Field(default=None, max_length=200)


class QuicklookRequest(_Strict):
    """What the page asks of an image it was given."""

    name: str = Field(max_length=200)
    image: ImageUrl

    @property
    def sent(self) -> "SentImage":
        """The image."""
        return SentImage(decode_data_url(self.image.url, "image"), self.image, self.name, "image")


class ImagePart(_Strict):
    """An image within a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


class TextPart(_Strict):
    """Text within a message."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
    name: str | None = None


class StreamOptions(_Strict):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class ChatRequest(_Strict):
    """The fields of OpenAI's chat completion that are honoured. Any other is refused, not ignored."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    n: Literal[1] = 1
    user: str | None = None

    @property
    def max_answer_tokens(self) -> int | None:
        """Most tokens the answer may have, if the request says so."""
        return self.max_completion_tokens or self.max_tokens


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
    """A user's message with its images, and the answer that was given to it; None for the one to answer."""

    question: str
    images: tuple[SentImage, ...]
    answer: str | None


@dataclass(frozen=True)
class ParsedChat:
    """A request, understood."""

    turns: tuple[ChatTurn, ...]
    system: str | None


def parse(body: Any) -> ChatRequest:
    """The chat completion that a JSON body asks for.

    Raises:
        RequestError: a field is unknown, missing or wrong; the first is named.
    """
    return _validate(ChatRequest, body)


def parse_quicklook(body: Any) -> QuicklookRequest:
    """The quicklook that a JSON body asks for.

    Raises:
        RequestError: a field is unknown, missing or wrong; the first is named.
    """
    return _validate(QuicklookRequest, body)


def _validate(model: type[T], body: Any) -> T:
    if not isinstance(body, Mapping):
        raise RequestError("the body must be a JSON object", code="invalid_json")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise RequestError(f"'{param}' is not supported here", code="unsupported_parameter", param=param) from error
        raise RequestError(f"{param}: {first['msg']}", code="invalid_value", param=param) from error


def read_turns(request: ChatRequest) -> ParsedChat:
    """The conversation of a request, the last question open.

    Raises:
        RequestError: the speakers do not alternate, a text is empty, or an image is not a data URL that can be read.
    """
    messages = list(enumerate(request.messages))
    system = None
    if messages[0][1].role == "system":
        system = _text(messages.pop(0)[1], "messages.0")
    if [message.role for _, message in messages] != (["user", "assistant"] * len(messages))[: len(messages)] or (
        len(messages) % 2 == 0
    ):
        roles = ", ".join(message.role for message in request.messages)
        raise RequestError(
            "messages must be an optional system message, then user and assistant in turn, the last one from the user; "
            f"got {roles}",
            code="invalid_messages",
            param="messages",
        )
    turns = []
    for place in range(0, len(messages), 2):
        number, asked = messages[place]
        answer = None
        if place + 1 < len(messages):
            answered, message = messages[place + 1]
            answer = _text(message, f"messages.{answered}")
        turns.append(ChatTurn(_text(asked, f"messages.{number}"), _images(asked, f"messages.{number}"), answer))
    return ParsedChat(tuple(turns), system)


def _text(message: Message, where: str) -> str:
    parts = [message.content] if isinstance(message.content, str) else message.content
    texts = [part if isinstance(part, str) else part.text for part in parts if not isinstance(part, ImagePart)]
    text = "\n".join(texts).strip()
    if not text:
        raise RequestError(f"{where}: the text is empty; ask something", code="empty_message", param=where)
    return text


def _images(message: Message, where: str) -> tuple[SentImage, ...]:
    if isinstance(message.content, str):
        return ()
    images = []
    for number, part in enumerate(message.content):
        if isinstance(part, ImagePart):
            place = f"{where}.content.{number}"
            image_url = part.image_url
            content = decode_data_url(image_url.url, place)
            images.append(SentImage(content, image_url, image_url.name or place, place))
    return tuple(images)


def decode_data_url(url: str, where: str) -> bytes:
    """The bytes of a data URL.

    Raises:
        RequestError: it is an address or a path, another kind of file, or not base64.
    """
    try:
        return content_of(url, MIMES)
    except DataURLError as error:
        code = "invalid_image_url" if error.is_address else "invalid_image"
        raise RequestError(f"{where}: {error}", code=code, param=where) from error
