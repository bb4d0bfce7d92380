"""`chips:` in params.yaml."""

from pydantic import Field

from tasks.core.section import Section


class ChipsParams(Section):
    """How chips are stored, and how much may be lost before the stage gives up."""

    shard_size: int = Field(
        ge=1, le=4096, description="chips a shard, about: blocks that are read together stay together"
    )
    max_quarantined: float = Field(
        ge=0, le=1, description="share of the selected windows that may be quarantined before the stage fails"
    )
