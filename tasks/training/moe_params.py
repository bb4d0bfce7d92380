"""Parameters of RS-MoE's training. No torch here: `tasks.check` reads them all."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tasks.core.errors import ParamsError
from tasks.core.section import Section, load, parse, read_params
from tasks.training.params import Fusion, LoraParams, RunParams, StageParams, Values

MoePart = Literal["vision", "fusion", "qformer", "projector", "language", "router", "experts"]
MoePreset = Literal["tiny", "small", "1b", "7b"]


class MoeModelParams(Section):
    """`moe.model`: the network and its experts."""

    preset: MoePreset = Field(description="size of the network; the code is the same for all")
    fusion: Fusion = Field(description="how groups of bands become one image before the Q-Former")
    max_tiles: int = Field(ge=1, le=40, description="most tiles of a sample's images; InstructBLIP takes one")
    realisation: Literal["shared", "separate"] = Field(
        description="shared: one frozen language model with an adapter an expert; separate: a language model an expert"
    )
    router: Literal["trained", "fixed", "generative"] = Field(
        description="trained: prompts and weights fitted to image and question; fixed: templates and equal weights; "
        "generative: as fixed in training, and when asked the network without experts writes the prompts"
    )
    prompt_tokens: int = Field(ge=1, description="tokens of an expert's template that the router changes")
    rank: int = Field(ge=1, description="columns of an expert's adapter; the paper does not say its own")
    alpha: int = Field(gt=0, description="what an adapter adds is scaled by alpha / rank")
    dropout: float = Field(ge=0, lt=1, description="share of an adapter's inputs left out in training")


class MoeLoraParams(LoraParams):
    """`moe.stage1.lora`: adapters in place of whole matrices, as the authors' repository trains InstructBLIP."""

    language: Literal["none", "ffn", "attention", "all"] = Field(
        description="adapted in the language model: the feed-forward, query and value of the attention, or both"
    )
    qformer: Literal["none", "ffn", "attention", "cross", "all"] = Field(
        description="adapted in the Q-Former, whose queries go on learning: the feed-forward, query and value of the "
        "attention, the attention to the image, or all of them"
    )

    @property
    def places(self) -> dict[str, str]:
        """What is adapted of each part that is."""
        chosen = {"language": self.language, "qformer": self.qformer}
        return {part: place for part, place in chosen.items() if place != "none"}


class MoeStageParams(StageParams):
    """`moe.stage1` and `moe.stage2`: what one stage trains, and how fast."""

    trains: list[MoePart] = Field(  # type: ignore[assignment]
        min_length=1, description="parts that learn; all others are frozen, in eval mode"
    )
    lora: MoeLoraParams = Field(
        default=MoeLoraParams(language="none", qformer="none", rank=1, alpha=8, dropout=0.0),
        description="adapters of stage 1, merged into the weights at its end; in stage 2 the experts are adapters",
    )


class MoePresetParams(Section):
    """`moe.presets.*`: what a larger preset does otherwise; each key replaces the one of `moe`."""

    common: Values = Field(default_factory=dict, description="in place of keys of train.common")
    stage1: Values = Field(default_factory=dict, description="in place of keys of moe.stage1")
    stage2: Values = Field(default_factory=dict, description="in place of keys of moe.stage2")


class MoeParams(Section):
    """`moe:` in params.yaml."""

    model: MoeModelParams
    common: Values = Field(description="in place of keys of train.common")
    stage1: MoeStageParams
    stage2: MoeStageParams
    presets: dict[MoePreset, MoePresetParams] = Field(default_factory=dict)

    def recipe(self, preset: MoePreset) -> Self:
        """These parameters with the keys of a preset put in.

        Raises:
            ParamsError: a key or a value of the preset is not allowed there.
        """
        overrides = self.presets.get(preset, MoePresetParams()).model_dump()
        values = self.model_dump(exclude={"presets"})
        merged: dict[str, Any] = {name: section | overrides.get(name, {}) for name, section in values.items()}
        merged["model"] = values["model"] | {"preset": preset}
        return parse(type(self), merged, f"moe.presets.{preset}")

    def stage(self, name: str) -> MoeStageParams:
        """Parameters of stage 1 or 2.

        Raises:
            ParamsError: there is no such stage.
        """
        stages = {"1": self.stage1, "2": self.stage2}
        if name not in stages:
            raise ParamsError(f"RS-MoE has no training stage '{name}'; allowed: {', '.join(stages)}")
        return stages[name]

    def run_params(self) -> RunParams:
        """`train.common` of params.yaml with the keys of `moe.common` put in.

        Raises:
            ParamsError: a key or a value is not allowed there.
        """
        shared = read_params().get("train", {}).get("common", {})
        if self.common.get("lora") is not None:
            raise ParamsError("moe.common.lora adapts EarthDial's language model; RS-MoE's are moe.stage1.lora")
        params = parse(RunParams, {**shared, **self.common, "lora": None}, "moe.common")
        if params.eval_answers:
            raise ParamsError("moe.common.eval_answers is not 0: answers of experts are not shown while they train")
        return params

    @model_validator(mode="after")
    def _parts_are_there(self) -> Self:
        early = sorted({"router", "experts"} & set(self.stage1.trains))
        if early:
            raise ValueError(f"stage1 trains {', '.join(early)}, but the network is dense until stage 2")
        if self.stage2.lora.places:
            raise ValueError("stage2.lora: the experts of stage 2 are adapters already; their size is moe.model.rank")
        for preset in self.presets:
            self.recipe(preset)
        return self


def load_moe(preset: str | None = None) -> MoeParams:
    """`moe:` of params.yaml for a preset; that of `moe.model.preset` if None.

    Raises:
        ParamsError: there is no such preset, or a parameter is wrong.
    """
    params = load(MoeParams, "moe")
    chosen = preset or params.model.preset
    parse(MoeModelParams, params.model.model_dump() | {"preset": chosen}, "moe.model")
    return params.recipe(chosen)  # type: ignore[arg-type]
