"""Weights from one layout into the other, file by file: the model is never held."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.parts.layout import Step
from tasks.core import log
from tasks.core.errors import WeightsError
from tasks.core.stage import write_json
from tasks.vlm.loading import is_not_finite
from tasks.vlm.weight_headers import INDEX, SINGLE, Held

MAX_FILE_BYTES = 2**30
"""Bytes of a file that is written, unless the largest one that is read is smaller still. A tensor may exceed it."""


def convert(
    steps: Sequence[Step], held: Mapping[str, Held], out: Path, fresh: Mapping[str, Tensor] | None = None
) -> int:
    """Write the targets of `steps` into `out`, and `fresh` as it is; returns the number of files.

    Raises:
        WeightsError: tensors that are put together are not of one type, or one holds what is no number.
    """
    groups = _groups(steps, held)
    where: dict[str, str] = {}
    size = 0
    for number, group in enumerate(log.progress(groups, "weights"), start=1):
        name = SINGLE if len(groups) == 1 else f"model-{number:05d}-of-{len(groups):05d}.safetensors"
        with ExitStack() as stack:
            # Opened for this file and closed after it: what was mapped is given back.
            paths = sorted({held[source].file for step in group for source in step.sources})
            files = {path: stack.enter_context(safe_open(path, framework="pt")) for path in paths}
            tensors: dict[str, Tensor] = dict(fresh or {}) if number == len(groups) else {}
            for step in group:
                tensors |= step(_read(step, held, files))
            save_file(tensors, out / name, metadata={"format": "pt"})
        where |= dict.fromkeys(tensors, name)
        size += sum(tensor.nbytes for tensor in tensors.values())
    if len(groups) > 1:
        write_json(out / INDEX, {"metadata": {"total_size": size}, "weight_map": where})
    return len(groups)


def _read(step: Step, held: Mapping[str, Held], files: Mapping[Path, Any]) -> list[Tensor]:
    types = {held[source].dtype for source in step.sources}
    if len(types) > 1:
        raise WeightsError(f"{', '.join(step.sources)} belong together but are {', '.join(sorted(types))}")
    tensors = [files[held[source].file].get_tensor(source) for source in step.sources]
    for source, tensor in zip(step.sources, tensors, strict=True):
        if is_not_finite(tensor):
            raise WeightsError(
                f"{source} in {held[source].file} holds numbers that are not finite (NaN or infinite): the network "
                "would answer nonsense. Fetch the file again, or ask its owner"
            )
    return tensors


def _groups(steps: Sequence[Step], held: Mapping[str, Held]) -> list[list[Step]]:
    """Steps by the file that is written, in the order in which they are read."""
    sizes: dict[Path, int] = {}
    for there in held.values():
        sizes[there.file] = sizes.get(there.file, 0) + there.nbytes
    limit = min(MAX_FILE_BYTES, max(sizes.values()))
    groups: list[list[Step]] = [[]]
    filled = 0
    for step in sorted(steps, key=lambda step: held[step.sources[0]].file):
        size = sum(held[source].nbytes for source in step.sources)
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(step)
        filled += size
    return groups
