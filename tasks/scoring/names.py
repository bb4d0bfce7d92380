"""Names of tasks and protocols; the command line reads them without loading any scorer."""

from typing import Literal

Task = Literal["classification", "vqa", "detection", "grounding", "captioning", "region_captioning", "change"]
Protocol = Literal["legacy", "honest"]
BoxForm = Literal["earthdial", "internvl"]
