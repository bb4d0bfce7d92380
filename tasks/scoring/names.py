"""Names of tasks, protocols and controls; the command line reads them without loading any scorer."""

from typing import Literal

Task = Literal["classification", "vqa", "detection", "grounding", "captioning", "region_captioning", "change"]
Protocol = Literal["legacy", "honest"]
BoxForm = Literal["earthdial", "internvl"]
Control = Literal["no-image", "other-image", "shuffled-bands", "greyed"]
"""The same question asked of the same model with the image taken away, exchanged, its bands permuted, or without
colour."""
