"""What a request of OpenAI's Responses API asks for, as far as it is a question about images.

Nothing of a conversation is kept, so each request holds all of it: `previous_response_id` and `conversation` are
refused by name.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from tasks.serving.fields import Fields, Idle
from tasks.serving.messages import Message, ParsedChat, read_turns
from tasks.serving.request import (
    WITHOUT_EFFECT,
    Asked,
    ObjectFormat,
    StreamOptions,
    TextFormat,
    WithoutTools,
    sampling,
    schema_of,
)


class SchemaOfText(Fields):
    """An answer that is JSON of a schema; here its schema stands in the format itself."""

    without_effect = frozenset({"name", "description", "strict"})

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class TextConfig(Fields):
    """`text`: the form of the answer."""

    as_it_is: ClassVar[Idle] = {"verbosity": ("medium",)}

    format: Annotated[TextFormat | ObjectFormat | SchemaOfText, Field(discriminator="type")] = TextFormat(type="text")


def _as_messages(given: Any) -> Any:
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


class ResponseRequest(WithoutTools):
    """A request for a response."""

    as_it_is: ClassVar[Idle] = {
        **WithoutTools.as_it_is,
        "store": (False,),
        "background": (False,),
        "truncation": ("disabled",),
        "include": ([],),
        "reasoning": ({}, {"effort": None}, {"effort": "none"}, {"effort": None, "summary": None}),
        "top_logprobs": (0,),
        "conversation": (),
        "previous_response_id": (),
        "prompt": (),
        "context_management": ([],),
    }
    without_effect = WITHOUT_EFFECT | {"max_tool_calls"}

    model: str
    input: Annotated[list[Message], BeforeValidator(_as_messages)] = Field(min_length=1)
    instructions: str | None = None
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, ge=0, le=1)
    text: TextConfig = TextConfig()

    def asked(self, most_tokens: int) -> Asked:
        """What it comes to, on a server whose answers have at most `most_tokens` tokens.

        Raises:
            RequestError: a message cannot be read.
        """
        wanted = self.text.format
        made, notes = sampling(
            self.max_output_tokens,
            most_tokens,
            "max_output_tokens",
            self.temperature,
            self.top_p,
            json_schema=wanted.schema_ if isinstance(wanted, SchemaOfText) else schema_of(wanted),
        )
        chat = read_turns(self.input, "input")
        said = [text for text in ((self.instructions or "").strip(), chat.system) if text]
        return Asked(self.model, ParsedChat(chat.turns, "\n".join(said) or None), made, notes)
