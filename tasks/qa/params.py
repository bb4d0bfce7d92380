"""`qa:` in params.yaml."""

from typing import Literal

from pydantic import Field

from tasks.core.section import Section


class QAParams(Section):
    """How conversations are generated."""

    generator: Literal["template"] = Field(description="who writes the pairs; templates grounded in the labels")
    seed: int = Field(ge=0, description="with the chip's id, decides what is asked about it")
    pairs_per_chip: int = Field(ge=1, le=32, description="question-answer pairs a chip, at most")
    min_pairs: int = Field(ge=1, description="a chip with fewer verified pairs is rejected")
    turns: int = Field(ge=1, le=16, description="pairs a conversation")
