"""Parameters of fine-tuning on one's own pairs. No torch here: `tasks.check` reads them all."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tasks.core.section import Section, load, parse, read_params
from tasks.training.params import LoraParams, RunParams, StageParams, Values

AdaptedPart = Literal["language", "projector", "fusion"]
LoadIn = Literal["int8", "int4"]


class FinetuneLoraParams(LoraParams):
    """`finetune.lora`: the adapters that are trained and kept, in peft's format."""

    targets: list[AdaptedPart] = Field(min_length=1, description="parts whose matrices get an adapter each")
    tag_embeddings: bool = Field(
        description="train the embeddings of the tags of sensors and tasks that the pairs have, where the tokenizer "
        "knows them"
    )


class FinetuneParams(Section):
    """`finetune:` in params.yaml: what `earthloom finetune` does unless its flags say otherwise. All of it is ours."""

    lora: FinetuneLoraParams
    load_in: LoadIn | None = Field(
        description="hold the language model's frozen matrices in 8 or 4 bits (QLoRA; needs bitsandbytes); null: as "
        "they are"
    )
    lr: float = Field(gt=0, lt=1, description="highest learning rate, of adapters and tag embeddings")
    epochs: float = Field(gt=0, description="times the pairs are seen")
    max_steps: int | None = Field(ge=1, description="end here, however many epochs that is")
    held_out: float = Field(
        ge=0, le=0.5, description="share of the images that is not trained on, where no file of held-out pairs is given"
    )
    short_words: int = Field(
        ge=1, description="most words of an answer that is scored word for word; of all answers the loss is taken"
    )
    max_new_tokens: int = Field(ge=1, description="longest answer to a held-out question")
    common: Values = Field(
        description="in place of keys of train.common; a pack is never longer than the base's context"
    )

    @model_validator(mode="after")
    def _common_is_whole(self) -> "FinetuneParams":
        self.run_params()
        return self

    def run_params(self) -> RunParams:
        """`train.common` with the keys of `common` put in, and no adapters but `lora`.

        Raises:
            ParamsError: a key or a value is not allowed there.
        """
        values = {**read_params()["train"]["common"], "lora": None, **self.common}
        return parse(RunParams, values, "finetune.common")


class FinetuneStage(StageParams):
    """One fine-tuning as the trainer takes it."""

    lora: FinetuneLoraParams
    tokens: tuple[int, ...] = Field(description="ids whose embeddings are trained")
    start: Path | None = Field(description="adapter that learns on; null for a fresh one")


def load_params(flags: Values) -> FinetuneParams:
    """`finetune:` of params.yaml with the flags of the command line in place of its keys; dots descend.

    Raises:
        ParamsError: a parameter or a flag is wrong.
    """
    values = load(FinetuneParams, "finetune").model_dump()
    for name, value in flags.items():
        if value is not None:
            section, _, key = name.rpartition(".")
            (values[section] if section else values)[key] = value
    return parse(FinetuneParams, values, "finetune")
