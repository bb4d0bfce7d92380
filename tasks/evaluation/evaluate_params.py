"""`evaluate:` in params.yaml. Apart from the stages that ask, so that who checks parameters loads no model."""

from pydantic import Field, field_validator

from tasks.core.section import Section
from tasks.vlm.controls import ControlName


class EvaluateParams(Section):
    """How the held-out questions are asked and scored."""

    device: str = Field(pattern="^(cpu|cuda)$", description="where the model answers")
    threads: int = Field(ge=0, description="CPU threads, 0 for all")
    batch: int = Field(ge=1, description="questions answered side by side")
    max_new_tokens: int = Field(ge=1, description="longest answer")
    controls: list[ControlName] = Field(description="what the model is asked again with, each beside its score")
    frozen: str | None = Field(
        description="folder of questions that never change, which the released model is asked as well; null for none"
    )
    bootstrap: int = Field(ge=100, description="resamplings of the test chips behind each confidence interval")
    seed: int = Field(ge=0, description="of the resampling")

    @field_validator("controls")
    @classmethod
    def _is_each_once(cls, controls: list[ControlName]) -> list[ControlName]:
        doubled = sorted({name for name in controls if controls.count(name) > 1})
        if doubled:
            raise ValueError(f"each control once; {', '.join(doubled)} stands more than once")
        return controls
