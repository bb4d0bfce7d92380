"""`qa.model` in params.yaml: the model that the generators other than `template` ask."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from tasks.core.section import Section

GeneratorName = Literal["template", "openai", "internlm", "transformers"]
"""Who writes pairs."""


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("an address of a server begins with http:// or https://")
    if "@" in url.partition("://")[2].partition("/")[0] or "?" in url:
        raise ValueError("no key belongs into an address, as it would be logged; name the variable in `key`")
    return url.rstrip("/")


class Prices(Section):
    """What tokens cost, in any one currency."""

    prompt: float = Field(ge=0, description="of a million tokens of prompts")
    completion: float = Field(ge=0, description="of a million tokens of answers")


class Budget(Section):
    """What one instance of the stage may spend; chips that are left get a row that says so. null: no bound."""

    tokens: int | None = Field(ge=1, description="of prompts and answers together")
    cost: float | None = Field(gt=0, description="in the currency of the prices")


class ModelParams(Section):
    """The model that writes pairs, and how it is asked."""

    url: Annotated[str, AfterValidator(_http)] = Field(description="of the server, up to and with /v1")
    name: str = Field(min_length=1, description="of the model, as its server or the hub calls it; or its folder")
    revision: str = Field(description="of the weights: 40 hexadecimal digits of a commit, or any name you give them")
    server_version: str | None = Field(
        description="of LMDeploy, where the model is InternLM-XComposer2, which later ones answer wrongly"
    )
    key: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$", description="variable of the environment that holds the API key")
    task: Literal["write", "reword"] = Field(description="write pairs from the facts, or word those of templates anew")
    pictures: int = Field(ge=0, le=2, description="renderings shown of a chip; the second is in false colour")
    picture_side: int = Field(ge=64, le=2048, description="pixels that a rendering is wide and high")
    temperature: float = Field(ge=0, le=2, description="0 takes the likeliest token")
    top_p: float = Field(gt=0, le=1, description="share of the likeliest tokens that is drawn from")
    max_tokens: int = Field(ge=16, description="of an answer; one that was cut is asked again with twice as many")
    longest_tokens: int = Field(ge=16, description="of an answer, however often it was cut")
    max_asks: int = Field(ge=1, le=20, description="of a chip: what was contradicted or not readable is asked again")
    in_flight: int = Field(ge=1, le=1024, description="requests at once; in process, chips of a batch")
    request_seconds: float = Field(gt=0, description="that one request may take")
    chip_seconds: float = Field(gt=0, description="that all asks of one chip may take")
    max_wait: float = Field(ge=0, description="seconds that a request waits in all between its tries")
    tries: int = Field(ge=1, le=20, description="of a request that fails in a way that may pass")
    answer_bytes: int = Field(ge=1024, description="of a server's answer that are read; a longer one is refused")
    prices: Prices
    budget: Budget
    cache: str = Field(min_length=1, description="folder of the answers, outside data/")
    device: str = Field(description="of the generator transformers: cpu, cuda, or auto")
    remote_code: bool = Field(description="of the generator transformers: run code of the pinned revision")

    @model_validator(mode="after")
    def _is_consistent(self) -> "ModelParams":
        if self.longest_tokens < self.max_tokens:
            raise ValueError(f"longest_tokens is {self.longest_tokens}, less than max_tokens, {self.max_tokens}")
        return self

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of so many tokens."""
        return (prompt_tokens * self.prices.prompt + completion_tokens * self.prices.completion) / 1e6
