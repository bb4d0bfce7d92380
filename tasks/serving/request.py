"""What a request asks for: OpenAI's chat completion, checked field by field, and the quicklook of our page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from tasks.serving.errors import RequestError
from tasks.serving.fields import Fields, Idle
from tasks.serving.generation import Sampling
from tasks.serving.messages import ImageUrl, Message, ParsedChat, SentImage, decode_data_url, read_turns

MOST_STOPS = 4
"""As OpenAI has it."""


@dataclass(frozen=True)
class Asked:
    """A question of either API, understood."""

    model: str
    chat: ParsedChat
    sampling: Sampling
    """Its `max_new_tokens` is what is asked for, or the server's most; never above that."""
    notes: tuple[str, ...] = ()
    """What is done otherwise than asked for, and does not make the answer another."""


def sampling(
    asked_tokens: int | None,
    most_tokens: int,
    field: str,
    temperature: float,
    top_p: float,
    **more: Any,
) -> tuple[Sampling, tuple[str, ...]]:
    """How an answer is decoded, and a note where it may be no longer than the server's most.

    Args:
        asked_tokens: longest answer of the request; None where it says nothing.
        most_tokens: longest answer of the server.
        field: the request's name for it.
        temperature: 0 takes the likeliest token, and so does a `top_p` of 0.
        top_p: share of probability that tokens are drawn from.
        more: other fields of `Sampling`.
    """
    greedy = temperature == 0 or top_p == 0
    given = min(asked_tokens or most_tokens, most_tokens)
    made = Sampling(given, 0.0 if greedy else temperature, 1.0 if greedy else top_p, **more)
    if asked_tokens is None or asked_tokens <= most_tokens:
        return made, ()
    return made, (f"{field} is {asked_tokens}, and an answer of this server has {most_tokens} tokens at most",)


class QuicklookRequest(Fields):
    """What the page asks of an image it was given."""

    name: str = Field(max_length=200)
    image: ImageUrl
    second: ImageUrl | None = None
    """The other polarisation of a radar scene, whose file is one image with the first."""
    show: str | None = None
    """Name of a composite; the plainest if none is given."""

    @property
    def sent(self) -> list[SentImage]:
        """Its files."""
        files = {"image": self.image, "second": self.second}
        return [
            SentImage(decode_data_url(file.url, where), file, file.name or self.name, where)
            for where, file in files.items()
            if file is not None
        ]


class StreamOptions(Fields):
    """OpenAI's `stream_options`."""

    without_effect = frozenset({"include_obfuscation"})  # of the bytes on the wire, not of the answer

    include_usage: bool = False


class TextFormat(Fields):
    """An answer in words."""

    type: Literal["text"]


class ObjectFormat(Fields):
    """An answer that is any JSON object."""

    type: Literal["json_object"]


class SchemaOfFormat(Fields):
    """OpenAI's `json_schema`. That the answer follows it is certain, so `strict` changes nothing."""

    without_effect = frozenset({"name", "description", "strict"})

    # Within a schema null is a value of its own.
    schema_: dict[str, Any] = Field(alias="schema")


class SchemaFormat(Fields):
    """An answer that is JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: SchemaOfFormat


def _type(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("text")]
    | Annotated[ObjectFormat, Tag("json_object")]
    | Annotated[SchemaFormat, Tag("json_schema")],
    Discriminator(_type, custom_error_type="format", custom_error_message="type is text, json_object or json_schema"),
]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


WITHOUT_EFFECT = frozenset(
    {
        "user", "metadata", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "prompt_cache_options", "parallel_tool_calls", "prediction", "request_id", "priority",
    }
)  # fmt: skip
"""Who asks, what for and at which price; hints at what to keep or to guess. The answer is the same."""


class WithoutTools(Fields):
    """A request that may name tools, as long as none is to be called."""

    as_it_is: ClassVar[Idle] = {"tools": ([],), "tool_choice": ("none", "auto")}

    @model_validator(mode="before")
    @classmethod
    def _no_tool_is_to_be_called(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("tool_choice") == "none":
            return {name: value for name, value in given.items() if name != "tools"}
        return given


class ChatRequest(WithoutTools):
    """A chat completion of OpenAI's API."""

    as_it_is: ClassVar[Idle] = {
        **WithoutTools.as_it_is,
        "functions": ([],),
        "function_call": ("none", "auto"),
        "frequency_penalty": (0,),
        "presence_penalty": (0,),
        "n": (1,),
        "logit_bias": ({},),
        "modalities": (["text"],),
        "reasoning_effort": ("none",),
        "verbosity": ("medium",),
        "store": (False,),
        "audio": (),
        "web_search_options": (),
        "moderation": (),
        # What vLLM, SGLang and TGI add to it.
        "best_of": (1,),
        "use_beam_search": (False,),
        "num_beams": (1,),
        "echo": (False,),
        "suffix": ("",),
        "top_k": (-1, 0),
        "min_p": (0,),
        "typical_p": (1,),
        "repetition_penalty": (1,),
        "length_penalty": (1,),
        "no_repeat_ngram_size": (0,),
        "min_tokens": (0,),
        "ignore_eos": (False,),
        "stop_token_ids": ([],),
        "bad_words": ([],),
        "include_stop_str_in_output": (False,),
        "skip_special_tokens": (True,),
        "add_generation_prompt": (True,),
        "continue_final_message": (False,),
        "chat_template_kwargs": ({},),
        "documents": ([],),
        "mm_processor_kwargs": ({},),
    }
    without_effect = WITHOUT_EFFECT

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, ge=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed)] = Field(
        default=[], max_length=MOST_STOPS
    )
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)
    response_format: ResponseFormat = TextFormat(type="text")

    def asked(self, most_tokens: int) -> Asked:
        """What it comes to, on a server whose answers have at most `most_tokens` tokens.

        Raises:
            RequestError: two of its fields do not go together, or a message cannot be read.
        """
        if self.top_logprobs and not self.logprobs:
            message = f"top_logprobs is {self.top_logprobs}, and logprobs is not true"
            raise RequestError(message, code="invalid_value", param="top_logprobs")
        field = "max_completion_tokens" if self.max_completion_tokens else "max_tokens"
        lengths = [length for length in (self.max_tokens, self.max_completion_tokens) if length is not None]
        made, notes = sampling(
            min(lengths, default=None),
            most_tokens,
            field,
            self.temperature,
            self.top_p,
            seed=self.seed,
            stop=tuple(self.stop),
            top_logprobs=self.top_logprobs if self.logprobs else None,
            json_schema=schema_of(self.response_format),
        )
        return Asked(self.model, read_turns(self.messages), made, notes)


def schema_of(wanted: "TextFormat | ObjectFormat | SchemaFormat") -> Mapping[str, Any] | None:
    """The schema that an answer is to be JSON of; None where it is words."""
    if isinstance(wanted, SchemaFormat):
        return wanted.json_schema.schema_
    return {"type": "object"} if isinstance(wanted, ObjectFormat) else None
