"""The lists of STAC items that `scenes` leaves: written, and read back unchanged.

GeoParquet with an item's id, collection, time and geometry as columns, to look at and to filter with any tool, and
the item itself as JSON beside them. A column a field cannot hold an item as it is: what is a number in one is a text in
another, and what is not there is not the same as null. docs/decisions/0008-frozen-items.md says more.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import shapely
import shapely.geometry

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.core.stage import atomic, require
from tasks.earth.conditions import instant

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("collection", pa.string()),
        ("datetime", pa.timestamp("us", tz="UTC")),
        ("geometry", pa.binary()),
        ("item", pa.string()),
    ]
)
"""`datetime` is the item's own, or else the begin of its interval; `geometry` WKB in degrees; `item` JSON."""


def write_items(items: Sequence[pystac.Item], path: Path) -> None:
    """Write items in the order given; none, and the table has no rows."""
    column = {"encoding": "WKB", "geometry_types": []}  # any
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    schema = SCHEMA.with_metadata({b"geo": json.dumps(geo).encode()})
    tables.write_rows([_row(item.to_dict(transform_hrefs=False)) for item in items], schema, path)


def read_items(path: Path) -> list[pystac.Item]:
    """Items of `write_items`, in its order, each as it was.

    Raises:
        MissingInputError: there is no such file, or one of another layout.
    """
    if "item" not in pq.read_schema(require(path)).names:
        raise MissingInputError(f"{path} was written by an earlier version; make it anew: `dvc repro`")
    texts = pq.read_table(path, columns=["item"])["item"].to_pylist()
    return [to_item(json.loads(text)) for text in texts]


def to_item(document: dict[str, Any]) -> pystac.Item:
    """An item from its JSON, which `to_dict` gives back unchanged.

    Not migrated to the STAC version of today: its fields stay what its catalog wrote, and what our readers know.
    """
    item = pystac.Item.from_dict(document, migrate=False)
    item.extra_fields["stac_version"] = document.get("stac_version")  # pystac would write its own
    return item


def write_collections(collections: Mapping[str, Any], folder: Path) -> None:
    """Write {id: STAC Collection} beside the items; they hold what their items leave out, such as scales."""
    with atomic(folder / "collections.json") as partial:
        partial.write_text(json.dumps(collections, indent=1, sort_keys=True) + "\n")


def read_collections(folder: Path) -> dict[str, dict[str, Any]]:
    """The collections of a folder of items by id; none if there is no such file, as before there was one."""
    path = folder / "collections.json"
    found: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def _row(item: dict[str, Any]) -> dict[str, Any]:
    properties, geometry = item["properties"], item.get("geometry")
    when = properties.get("datetime") or properties.get("start_datetime")
    return {
        "id": item["id"],
        "collection": item.get("collection"),
        "datetime": instant(when) if when else None,
        "geometry": shapely.to_wkb(shapely.geometry.shape(geometry)) if geometry else None,
        "item": json.dumps(item, sort_keys=True),
    }
