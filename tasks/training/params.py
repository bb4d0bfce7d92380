"""Parameters of training. No torch here: `tasks.params` reads them all."""

from typing import Literal

from pydantic import Field

from tasks.core.section import Section

Part = Literal["vision", "fusion", "projector", "language"]


class ModelParams(Section):
    """`model:` in params.yaml."""

    preset: Literal["tiny", "small", "4b"] = Field(description="size of the network; the code is the same for all")
    fusion: Literal["attention", "mean"] = Field(description="how groups of bands become one image")


class RunParams(Section):
    """`train.common`: how every stage is trained."""

    seed: int = Field(ge=0, description="of fresh weights and of the order of the samples")
    device: Literal["auto", "cpu", "cuda"] = Field(description="auto takes a GPU if there is one")
    threads: int = Field(ge=0, description="CPU threads, 0 for all; another number gives slightly other weights")
    precision: Literal["float32", "bfloat16"] = Field(description="of the forward pass; weights stay float32")
    batch: int = Field(ge=1, description="samples a step")
    micro_batch: int = Field(ge=1, description="samples a forward pass; gradients of a step are summed over them")
    max_length: int = Field(ge=32, description="tokens; a longer sample is rejected and listed, never cut")
    warmup: float = Field(ge=0, lt=1, description="share of the steps in which the learning rate rises")
    weight_decay: float = Field(ge=0, description="on matrices; none on biases, norms and embeddings' scales")
    clip: float = Field(gt=0, description="largest norm of the gradient")
    log_every: int = Field(ge=1, description="steps between two rows of log.csv")
    eval_every: int = Field(ge=1, description="steps between two measurements of the validation loss")
    eval_samples: int = Field(ge=1, description="validation samples measured each time")
    checkpoint_every: int = Field(ge=1, description="steps between two checkpoints to resume from")
    cache_mb: int = Field(ge=16, description="megabytes of decoded chips kept in memory")


class StageParams(Section):
    """`train.stage1` to `train.stage3`: what one stage trains, and how fast."""

    trains: list[Part] = Field(min_length=1, description="parts that learn; all others are frozen, in eval mode")
    lr: float = Field(gt=0, lt=1, description="highest learning rate; EarthDial 4B takes 4e-5")
    epochs: float = Field(gt=0, description="times the mixture is seen")
    max_steps: int | None = Field(default=None, ge=1, description="end here, however many epochs that is")


class TrainParams(Section):
    """`train:` in params.yaml."""

    common: RunParams
    stage1: StageParams
    stage2: StageParams
    stage3: StageParams
