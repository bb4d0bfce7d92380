"""The frozen lists of STAC items that `scenes` leaves, read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pystac
import stac_geoparquet.arrow

from tasks.core import tables


def read_items(path: Path) -> list[pystac.Item]:
    """Items of a stac-geoparquet file, in its order, without the keys that a column holds as null for them."""
    table = tables.read(path)
    if table.num_rows == 0:
        return []
    return [pystac.Item.from_dict(_prune(item)) for item in stac_geoparquet.arrow.stac_table_to_items(table)]


def _prune(value: Any) -> Any:
    if isinstance(value, Mapping):
        pruned = {key: _prune(inner) for key, inner in value.items()}
        return {key: inner for key, inner in pruned.items() if inner is not None or key == "datetime"}
    return [_prune(inner) for inner in value] if isinstance(value, list) else value
