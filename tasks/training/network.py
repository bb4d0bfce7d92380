"""The networks that the trainer takes: alike from outside, `config`, `train_parts`, `stacked_layers`, `step_flops`."""

from typing import TypeAlias

from models.earthdial.config import EarthDialConfig
from models.earthdial.model import EarthDialForConditionalGeneration
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.model import RsMoeForConditionalGeneration

Network: TypeAlias = EarthDialForConditionalGeneration | RsMoeForConditionalGeneration
NetworkConfig: TypeAlias = EarthDialConfig | RsMoeConfig
