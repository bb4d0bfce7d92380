"""Measuring labels in windows: share of the area, number of features, position. Vectorised over windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from tasks.earth.blocks import Block

SCHEMA = pa.schema(
    [
        ("chip_id", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),  # collection of the label item, or spectral-rules
        ("kind", pa.string()),  # area, tag or change
        ("fraction", pa.float64()),  # of the window's valid pixels; null for a tag
        ("count", pa.int32()),  # features of a polygon source; null for the others
        ("position", pa.string()),  # of the label's centre of mass in the window; null for a tag
        ("derived", pa.bool_()),  # read from the scene's own bands
    ]
)
"""One row for each chip and label."""

COMPASS = np.array(
    [["north-west", "north", "north-east"], ["west", "centre", "east"], ["south-west", "south", "south-east"]]
)


def position(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name of the third of the window, in each direction, that (x, y) lies in; 0 to 1 from the north-west corner."""
    column = np.clip((x * 3).astype(int), 0, 2)
    row = np.clip((y * 3).astype(int), 0, 2)
    return np.asarray(COMPASS[row, column])


def planes(
    block: Block,
    chip_ids: Sequence[str],
    found: Mapping[str, NDArray[np.bool_]],
    valid: NDArray[np.bool_],
    min_fraction: float,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Rows for boolean planes [height, width] on the block's target, by label.

    Args:
        block: the windows.
        chip_ids: of the block's windows, in its order.
        found: plane of each label.
        valid: which pixels were measured.
        min_fraction: share under which a label is not there.
        columns: values of the other columns; `kind` may map labels to kinds.
    """
    rows: list[dict[str, Any]] = []
    measured = block.cut(valid).sum(axis=(1, 2))
    for label, plane in found.items():
        tiles = block.cut(plane & valid).astype(np.float64)
        pixels = tiles.sum(axis=(1, 2))
        shares = np.divide(pixels, measured, out=np.zeros_like(pixels), where=measured > 0)
        side = (np.arange(tiles.shape[-1]) + 0.5) / tiles.shape[-1]
        weight = np.maximum(pixels, 1)
        places = position(tiles.sum(axis=1) @ side / weight, tiles.sum(axis=2) @ side / weight)
        kind = columns["kind"]
        for index in np.flatnonzero(shares >= min_fraction).tolist():
            rows.append(
                {
                    "chip_id": chip_ids[index],
                    "label": label,
                    "fraction": round(float(shares[index]), 6),
                    "position": str(places[index]),
                    **columns,
                    "kind": kind.get(label, "area") if isinstance(kind, Mapping) else kind,
                }
            )
    return rows


def polygons(
    block: Block,
    chip_ids: Sequence[str],
    features: NDArray[Any],
    labels: NDArray[np.str_],
    min_fraction: float,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Rows for polygon features, exact by their geometry.

    Args:
        block: the windows.
        chip_ids: of the block's windows, in its order.
        features: shapely polygons in the metres of the block's zone.
        labels: label of each feature.
        min_fraction: share under which a label is not there.
        columns: values of the other columns.
    """
    size = float(block.grid.size)
    left, bottom = block.columns * size, block.rows * size
    boxes = shapely.box(left, bottom, left + size, bottom + size)
    feature, window = shapely.STRtree(boxes).query(features, predicate="intersects")
    overlaps = shapely.intersection(features[feature], boxes[window])
    areas = shapely.area(overlaps) / size**2
    centres = shapely.get_coordinates(shapely.centroid(overlaps[areas > 0]))
    window, feature = window[areas > 0], feature[areas > 0]
    areas = areas[areas > 0]
    x = (centres[:, 0] - left[window]) / size
    y = 1 - (centres[:, 1] - bottom[window]) / size
    names, code = np.unique(labels, return_inverse=True)
    key = window * len(names) + code[feature]
    groups, group = np.unique(key, return_inverse=True)
    total = np.bincount(group, areas, len(groups))
    # A sliver of a feature that lies in the next window is not a feature of this one.
    counts = np.bincount(group, areas >= min_fraction / 4, len(groups))
    places = position(
        np.bincount(group, areas * x, len(groups)) / total, np.bincount(group, areas * y, len(groups)) / total
    )
    return [
        {
            "chip_id": chip_ids[groups[i] // len(names)],
            "label": str(names[groups[i] % len(names)]),
            "fraction": round(min(float(total[i]), 1.0), 6),
            "count": int(counts[i]),
            "position": str(places[i]),
            **columns,
        }
        for i in np.flatnonzero(total >= min_fraction).tolist()
    ]


def tags(
    block: Block, chip_ids: Sequence[str], features: NDArray[Any], labels: NDArray[np.str_], **columns: Any
) -> list[dict[str, Any]]:
    """Rows for labels that hold somewhere within a footprint, for the windows that lie inside it."""
    size = float(block.grid.size)
    left, bottom = block.columns * size, block.rows * size
    boxes = shapely.box(left, bottom, left + size, bottom + size)
    feature, window = shapely.STRtree(boxes).query(features, predicate="intersects")
    inside = shapely.area(shapely.intersection(features[feature], boxes[window])) >= 0.95 * size**2
    pairs = sorted({(int(w), str(labels[f])) for f, w in zip(feature[inside], window[inside], strict=True)})
    return [{"chip_id": chip_ids[w], "label": label, **columns} for w, label in pairs]
