"""EarthDial (arXiv 2412.15190) on the InternVL and Phi-3 classes of transformers.

The names below are loaded when they are first asked for: whoever needs only `models.earthdial.prompt` does not
pay for torch. `AutoConfig` and `AutoModelForImageTextToText` know the network once one of them was asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.earthdial.config import EarthDialConfig
    from models.earthdial.model import EarthDialForConditionalGeneration
    from models.earthdial.presets import make_config

__all__ = ["EarthDialConfig", "EarthDialForConditionalGeneration", "make_config"]
_HOMES = {"EarthDialConfig": "model", "EarthDialForConditionalGeneration": "model", "make_config": "presets"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
