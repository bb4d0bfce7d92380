"""`promote:` in params.yaml. Apart from the gate itself, so that who checks parameters loads no scorer."""

from pydantic import Field

from tasks.core.section import Section


class Margins(Section):
    """What is asked of a new model in one modality, in shares of its questions."""

    margin: float = Field(
        ge=0, le=1, description="how far below the model in service the interval of the paired difference may reach"
    )
    above_controls: float = Field(
        ge=-1,
        le=1,
        description="how far above each control the interval of that difference must lie; below 0 where the gate set "
        "is too small to show more",
    )


class PromoteParams(Section):
    """`promote:` in params.yaml: what a new model must show before it takes the place of the one in service."""

    modalities: dict[str, Margins] = Field(min_length=1)
    min_questions: int = Field(ge=1, description="a modality with fewer questions decides nothing")
    min_chips: int = Field(ge=2, description="a modality whose questions are about fewer chips decides nothing")
    bootstrap: int = Field(ge=100, description="resamplings of the chips behind each interval, 95 %")
    seed: int = Field(ge=0, description="of the resampling")
