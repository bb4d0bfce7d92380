"""Names of tasks, protocols and metrics; the command line reads them without loading any scorer."""

from typing import Literal

Task = Literal["classification", "vqa", "detection", "grounding", "captioning", "region_captioning", "change"]
Protocol = Literal["legacy", "honest"]
BoxForm = Literal["earthdial", "internvl"]
HEADLINES = ("micro_f1", "accuracy", "f1@0.5", "cider", "f1")
"""The honest metric that stands for a whole file: the first of these that its task has. Lists of classes are judged by
micro-F1, since whole sets are seldom right; boxes by F1, which a model cannot raise by drawing more of them."""
