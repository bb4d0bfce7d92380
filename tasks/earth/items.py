"""The lists of STAC items that `scenes` leaves, read back."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pystac
import rustac

from tasks.core.stage import require


def read_items(path: Path) -> list[pystac.Item]:
    """Items of a stac-geoparquet file, in its order, without the keys that a column holds as null for them.

    rustac reads it, not the stac-geoparquet that wrote it: that one brings in pandas, 0.5 s in each of 19 processes.
    """
    if pq.read_metadata(require(path)).num_rows == 0:
        return []
    return [pystac.Item.from_dict(_prune(item)) for item in rustac.read_sync(str(path))["features"]]


def read_collections(folder: Path) -> dict[str, Any]:
    """STAC documents of the collections of a sensor's items, by id; none where none were recorded."""
    path = folder / "collections.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _prune(value: Any) -> Any:
    if isinstance(value, Mapping):
        pruned = {key: _prune(inner) for key, inner in value.items()}
        return {key: inner for key, inner in pruned.items() if inner is not None or key == "datetime"}
    return [_prune(inner) for inner in value] if isinstance(value, list | tuple) else value
