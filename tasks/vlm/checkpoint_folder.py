"""Whether a folder is a checkpoint, found out before a library is imported or a weight is read."""

from pathlib import Path

from tasks.core.errors import MissingInputError, TrainingError
from tasks.vlm.weight_headers import check_sizes, read_config, read_headers

KINDS = ("earthdial", "rsmoe")
"""What `model_type` of a config.json may be."""
NORMALISATION_FILE = "normalisation.json"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_checkpoint(folder: Path) -> str:
    """The kind of network of a checkpoint, one of `KINDS`. What is no checkpoint's folder is refused, and why.

    Raises:
        MissingInputError: there is no folder, or it holds no weights.
        TrainingError: it holds weights that are not safetensors, or no statistics or tokenizer beside them.
        WeightsError: a file is not whole, or config.json is of a larger network.
    """
    if not folder.is_dir():
        raise MissingInputError(
            f"{folder} is not a folder with a model; `earthloom demo` trains one in data/train/3, and "
            "`earthloom weights import` brings published ones"
        )
    if not any((folder / name).is_file() for name in WEIGHTS):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise TrainingError(
                f"{folder} holds {', '.join(pickles)}: weights as pickles can run code when they are opened, so they "
                "are not. Ask whoever made them for safetensors"
            )
        raise MissingInputError(
            f"{folder} holds no {' or '.join(WEIGHTS)}; `earthloom demo` trains a model in data/train/3"
        )
    missing = [name for name in ("config.json", "tokenizer.json", NORMALISATION_FILE) if not (folder / name).is_file()]
    if missing:
        raise TrainingError(
            f"{folder} holds weights but no {', '.join(missing)}, without which they cannot be used: a checkpoint is "
            "the whole folder that a training stage wrote"
        )
    model_type = read_config(folder).get("model_type")
    if model_type not in KINDS:
        raise TrainingError(
            f"{folder}/config.json is of '{model_type}', not of {' or '.join(KINDS)}; `earthloom weights import` "
            "converts published weights"
        )
    check_sizes(read_config(folder), read_headers(folder), str(folder))
    return str(model_type)
