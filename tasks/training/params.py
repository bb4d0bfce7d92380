"""Parameters of training. No torch here: `tasks.check` reads them all."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tasks.core.errors import ParamsError
from tasks.core.section import Section, load, parse

Part = Literal["vision", "fusion", "projector", "language"]
Preset = Literal["tiny", "small", "4b"]
Fusion = Literal["attention", "mosaic", "mean", "max"]
TrackerName = Literal["tensorboard", "dvclive", "wandb", "mlflow"]
Checkpointing = Literal["none", "pointwise", "layers"]


class ModelParams(Section):
    """`model:` in params.yaml."""

    preset: Preset = Field(description="size of the network; the code is the same for all")
    fusion: Fusion = Field(description="how groups of bands become one image; mosaic is the released one")
    fusion_layer: int | None = Field(
        ge=0,
        description="layer of the vision encoder after which groups of bands are fused: what follows costs the same "
        "for any number of bands; null: after the last, as in the paper, but for tiny before the first",
    )
    start: dict[Preset, str] = Field(
        description="preset -> folder of weights that stage 1 begins with where none were imported to data/weights; "
        "{} begins with fresh ones"
    )
    max_tiles: int = Field(ge=1, le=40, description="most tiles of a sample's images, thumbnails besides")


class LoraParams(Section):
    """`train.*.lora`: adapters that are trained in place of the language model's matrices."""

    rank: int = Field(ge=1, description="columns of an adapter; EarthDial's ablation took 128")
    alpha: int = Field(gt=0, description="what an adapter adds is scaled by alpha / rank; twice the rank is usual")
    dropout: float = Field(ge=0, lt=1, description="share of an adapter's inputs left out in training")


class AugmentParams(Section):
    """`train.common.augment`: how a training image is varied each time that it is shown."""

    turns: bool = Field(description="turn and mirror images whose conversation tells of no direction and no box")
    gain: float = Field(ge=0, lt=1, description="standard deviation of the factor that an image is scaled by, less 1")
    shift: float = Field(ge=0, description="standard deviation of what is added to each plane; 1 is the plane's own")


class RunParams(Section):
    """`train.common`: how every stage is trained."""

    seed: int = Field(ge=0, description="of fresh weights and of the order of the samples")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto takes a GPU if there is one")
    threads: int = Field(ge=0, description="CPU threads, 0 for all; another number gives slightly other weights")
    precision: Literal["float32", "bfloat16"] = Field(description="of the forward pass; weights stay float32")
    parallel: Literal["none", "ddp", "fsdp"] = Field(
        description="what several processes, one a GPU, share: nothing (one process only), gradients (ddp), or weights "
        "and optimizer too (fsdp)"
    )
    checkpointing: Checkpointing = Field(
        description="what the backward pass works out again, to save memory: nothing; what is neither a product of "
        "matrices nor attention, which costs little time (pointwise, with `compile` only); or whole layers"
    )
    compile: bool = Field(description="torch.compile the layers, whose packs are then padded to one length; GPU only")
    lora: LoraParams | None = Field(None, description="adapters for small GPUs; merged into the weights at the end")
    augment: AugmentParams | None = Field(None, description="variation of training images; null shows them as they are")
    cover: float = Field(
        ge=0,
        description="weight of a second loss, on what covers the ground under each visual token, by the labels' masks; "
        "0 leaves it out, as the paper does",
    )
    max_length: int = Field(ge=32, description="tokens of a pack; a longer sample is rejected and listed, never cut")
    max_groups: int = Field(ge=1, description="band groups of a pack, which are what the vision encoder works on")
    window: int = Field(
        ge=1, description="samples packed together: a large one fills packs best, a small one mixes samples best"
    )
    batch: int = Field(ge=1, description="packs a step of the optimizer, over all processes; a forward pass takes one")
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(ge=0, description="on matrices; none on biases, norms and embeddings' scales")
    clip: float = Field(gt=0, description="largest norm of the gradient")
    workers: int = Field(ge=0, description="processes that read chips ahead; 0 reads them between the steps")
    peak_tflops: float | None = Field(
        None, gt=0, description="of the device in `precision`, for the MFU; null: known for common GPUs, else measured"
    )
    log_every: int = Field(ge=1, description="steps between two rows of log.csv")
    eval_every: int = Field(ge=1, description="steps between two measurements of the validation loss")
    eval_samples: int = Field(ge=1, description="validation samples measured each time")
    eval_answers: int = Field(
        ge=0, description="validation questions answered each time, for those who watch: samples.jsonl, no output"
    )
    checkpoint_every: int = Field(ge=1, description="steps between two checkpoints to resume from")
    cache_mb: int = Field(ge=16, description="megabytes of decoded chips kept in memory by each reading process")
    trackers: list[TrackerName] = Field(
        description="where the figures of each step are shown besides progress.jsonl; what is not installed is refused"
    )

    @model_validator(mode="after")
    def _pointwise_is_the_compilers(self) -> Self:
        if self.checkpointing == "pointwise" and not self.compile:
            raise ValueError("checkpointing: pointwise is the compiler's work; set compile to true, or take layers")
        return self


class StageParams(Section):
    """`train.stage1` to `train.stage3`: what one stage trains, and how fast."""

    trains: list[Part] = Field(min_length=1, description="parts that learn; all others are frozen, in eval mode")
    lr: float = Field(gt=0, lt=1, description="highest learning rate; EarthDial 4B takes 4e-5")
    vision_lr: float = Field(
        1.0,
        gt=0,
        le=1,
        description="learning rate of the vision encoder as a share of `lr`; a fresh one learns a small "
        "data set by heart at the full rate",
    )
    epochs: float = Field(gt=0, description="times the mixture is seen")
    max_steps: int | None = Field(default=None, ge=1, description="end here, however many epochs that is")


Values = dict[str, Any]


class PresetParams(Section):
    """`train.presets.*`: what a larger preset does otherwise; each key replaces the one of `train`."""

    common: Values = Field(default_factory=dict, description="in place of keys of train.common")
    stage1: Values = Field(default_factory=dict, description="in place of keys of train.stage1")
    stage2: Values = Field(default_factory=dict, description="in place of keys of train.stage2")
    stage3: Values = Field(default_factory=dict, description="in place of keys of train.stage3")


class TrainParams(Section):
    """`train:` in params.yaml."""

    common: RunParams
    stage1: StageParams
    stage2: StageParams
    stage3: StageParams
    presets: dict[Preset, PresetParams] = Field(default_factory=dict)

    def recipe(self, preset: Preset) -> Self:
        """These parameters with the keys of a preset put in.

        Raises:
            ParamsError: a key or a value of the preset is not allowed there.
        """
        overrides = self.presets.get(preset, PresetParams()).model_dump()
        values = self.model_dump(exclude={"presets"})
        merged = {name: section | overrides.get(name, {}) for name, section in values.items()}
        return parse(type(self), merged, f"train.presets.{preset}")

    def stage(self, name: str) -> StageParams:
        """Parameters of stage 1, 2 or 3.

        Raises:
            ParamsError: there is no such stage.
        """
        stages = {"1": self.stage1, "2": self.stage2, "3": self.stage3}
        if name not in stages:
            raise ParamsError(f"there is no training stage '{name}'; allowed: {', '.join(stages)}")
        return stages[name]

    @model_validator(mode="after")
    def _recipes_are_whole(self) -> Self:
        for preset in self.presets:
            self.recipe(preset)
        return self


def load_recipe(preset: str | None = None) -> tuple[ModelParams, TrainParams]:
    """`model:` and `train:` of params.yaml for a preset; that of `model.preset` if None.

    Raises:
        ParamsError: there is no such preset, or a parameter is wrong.
    """
    model = load(ModelParams, "model")
    if preset is not None:
        model = parse(ModelParams, model.model_dump() | {"preset": preset}, "model")
    return model, load(TrainParams, "train").recipe(model.preset)
