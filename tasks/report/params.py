"""`report:` in params.yaml."""

from pydantic import Field

from tasks.core.section import Section


class ReportParams(Section):
    """How much of the dataset the page shows; every number on it counts all of it."""

    gallery: int = Field(ge=1, le=48, description="chips shown of each sensor, test chips first")
    scene_maps: int = Field(ge=1, le=200, description="scenes drawn at most, those with most chips first")
    pairs: int = Field(ge=1, le=32, description="question-answer pairs shown of a chip; the rest is folded away")
    smoothing: float = Field(ge=0, lt=1, description="weight of the past in the smoothed loss curves")
