"""Measuring labels in windows: share of the area, number of features, position. Vectorised over windows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tasks.earth import label_masks
from tasks.earth.blocks import Block

COMPASS = np.array(
    [["north-west", "north", "north-east"], ["west", "centre", "east"], ["south-west", "south", "south-east"]]
)


def position(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name of the third of the window, in each direction, that (x, y) lies in; 0 to 1 from the north-west corner."""
    column = np.clip((x * 3).astype(int), 0, 2)
    row = np.clip((y * 3).astype(int), 0, 2)
    return np.asarray(COMPASS[row, column])


def places(planes: NDArray[Any]) -> NDArray[np.str_]:
    """Where the centre of mass of each plane lies, (N, side, side) -> (N,); of one that is empty, anywhere.

    From the sums along either axis, weighted by pixel centres: no grid of coordinates a window.
    """
    tiles = np.asarray(planes, np.float64)
    side = (np.arange(tiles.shape[-1]) + 0.5) / tiles.shape[-1]
    weight = np.maximum(tiles.sum(axis=(1, 2)), 1)
    return position(tiles.sum(axis=1) @ side / weight, tiles.sum(axis=2) @ side / weight)


def boxes(block: Block) -> NDArray[Any]:
    """The block's windows as polygons in the metres of its zone."""
    size = float(block.grid.size)
    left, bottom = block.columns * size, block.rows * size
    return np.asarray(shapely.box(left, bottom, left + size, bottom + size))


def planes(
    block: Block,
    chip_ids: Sequence[str],
    found: Mapping[str, NDArray[np.bool_]],
    valid: NDArray[np.bool_],
    min_fraction: float,
    of_valid: bool,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Rows for boolean planes [height, width] on the block's target, by label.

    Args:
        block: the windows.
        chip_ids: of the block's windows, in its order.
        found: plane of each label.
        valid: which pixels were measured.
        min_fraction: share under which a label is not there.
        of_valid: whether shares are of the pixels measured, so that a window at a scene's edge has its labels too;
            else of the whole window, so that what a label source says of half of it is not taken for all.
        columns: values of the other columns; `kind` may map labels to kinds, and `date` may be one for each window.
    """
    rows: list[dict[str, Any]] = []
    measured = block.sums(valid)
    for label, plane in found.items():
        pixels = block.sums(plane & valid)
        whole = measured if of_valid else np.full_like(measured, (valid.shape[1] // block.across) ** 2)
        shares = np.divide(pixels, whole, out=np.zeros(len(pixels)), where=whole > 0)
        kind, date = columns["kind"], columns.get("date")
        given = np.flatnonzero(shares >= min_fraction)
        tiles = block.cut(plane & valid)[given]
        where = places(tiles)
        for index, mask, place in zip(given.tolist(), label_masks.resized(tiles), where.tolist(), strict=True):
            rows.append(
                {
                    "chip_id": chip_ids[index],
                    "label": label,
                    "fraction": round(float(shares[index]), 6),
                    "position": place,
                    "mask": label_masks.pack(mask),
                    **columns,
                    "kind": kind.get(label, "area") if isinstance(kind, Mapping) else kind,
                    "date": date[index] if isinstance(date, list) else date,
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
    """Rows for polygon features, exact by their geometry; where features of one label overlap, the ground counts once.

    Args:
        block: the windows.
        chip_ids: of the block's windows, in its order.
        features: shapely polygons in the metres of the block's zone.
        labels: label of each feature.
        min_fraction: share under which a label is not there.
        columns: values of the other columns; `kind` may map labels to kinds.
    """
    size = float(block.grid.size)
    feature, window, parts = _cut(block, features)
    areas = shapely.area(parts) / size**2
    keep = areas > 0
    feature, window, parts, areas = feature[keep], window[keep], parts[keep], areas[keep]
    found = _Groups(block, window, labels[feature], areas, np.asarray(shapely.centroid(parts)), parts)
    shares = found.totals
    members = np.split(np.argsort(found.group, kind="stable"), np.cumsum(found.sizes)[:-1])
    for group in np.flatnonzero((found.sizes > 1) & (shares >= min_fraction)).tolist():
        shares[group] = min(shares[group], shapely.area(shapely.union_all(parts[members[group]])) / size**2)
    # A sliver of a feature that lies in the next window is not a feature of this one.
    features_of = [part[areas[part] >= min_fraction / 4] for part in members]
    rows = []
    for group in np.flatnonzero(shares >= min_fraction).tolist():
        own = features_of[group]
        row = found.row(chip_ids, group, columns, fraction=round(float(shares[group]), 6), count=len(own))
        rows.append(found.placed(row, group, parts[own]))
    return rows


def lines(
    block: Block,
    chip_ids: Sequence[str],
    features: NDArray[Any],
    labels: NDArray[np.str_],
    min_fraction: float,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Rows for lines: how many cross a window and how many metres of them lie in it; arguments as of `polygons`.

    A line is there if at least `min_fraction` of the window's side lies in the window.
    """
    size = float(block.grid.size)
    feature, window, parts = _cut(block, features)
    lengths = shapely.length(parts)
    keep = lengths >= min_fraction * size
    feature, window, parts, lengths = feature[keep], window[keep], parts[keep], lengths[keep]
    found = _Groups(block, window, labels[feature], lengths, np.asarray(shapely.centroid(parts)), parts, lines=True)
    members = np.split(np.argsort(found.group, kind="stable"), np.cumsum(found.sizes)[:-1])
    rows = []
    for group, (size, length) in enumerate(zip(found.sizes, found.totals, strict=True)):
        row = found.row(chip_ids, group, columns, count=int(size), length=round(float(length), 1))
        rows.append(found.placed(row, group, parts[members[group]]))
    return rows


def points(
    block: Block, chip_ids: Sequence[str], features: NDArray[Any], labels: NDArray[np.str_], **columns: Any
) -> list[dict[str, Any]]:
    """Rows for points: how many lie in a window. One on the border of two lies in the eastern or northern."""
    places, feature = shapely.get_coordinates(features, return_index=True)
    cell = np.floor(places / block.grid.size).astype(np.int64)
    index_of = {place: i for i, place in enumerate(zip(block.columns.tolist(), block.rows.tolist(), strict=True))}
    window = np.array([index_of.get((column, row), -1) for column, row in cell.tolist()], dtype=np.int64)
    inside = window >= 0
    ones, centres = np.ones(int(inside.sum())), np.asarray(shapely.points(places[inside]))
    found = _Groups(block, window[inside], labels[feature[inside]], ones, centres, centres, lines=True)
    rows = (found.row(chip_ids, group, columns, count=int(size)) for group, size in enumerate(found.sizes))
    return [found.placed(row, group) for group, row in enumerate(rows)]


def tags(
    block: Block,
    chip_ids: Sequence[str],
    features: NDArray[Any],
    labels: NDArray[np.str_],
    contained: bool = False,
    **columns: Any,
) -> list[dict[str, Any]]:
    """Rows for labels that hold somewhere within a footprint, for the windows that lie inside it.

    Args:
        block: the windows.
        chip_ids: of the block's windows, in its order.
        features: footprints in the metres of the block's zone.
        labels: label of each footprint.
        contained: also for the windows that a footprint lies inside of; then what it does not name may still be there.
        columns: values of the other columns.
    """
    windows = boxes(block)
    feature, window = shapely.STRtree(windows).query(features, predicate="intersects")
    shared = shapely.area(shapely.intersection(features[feature], windows[window]))
    # Not all of it: a tag still describes a window of which a sliver lies outside its footprint.
    inside = shared >= 0.95 * float(block.grid.size) ** 2
    if contained:
        inside |= shared >= 0.95 * shapely.area(features[feature])
    pairs = sorted({(int(w), str(labels[f])) for f, w in zip(feature[inside], window[inside], strict=True)})
    return [_row(chip_ids[w], label, columns) for w, label in pairs]


def _cut(block: Block, features: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Every part of a feature that lies in a window: which feature, which window, and the part."""
    windows = boxes(block)
    feature, window = shapely.STRtree(windows).query(features, predicate="intersects")
    return feature, window, np.asarray(shapely.intersection(features[feature], windows[window]))


class _Groups:
    """Parts of features by the window and label that they belong to."""

    def __init__(
        self,
        block: Block,
        window: NDArray[np.int64],
        labels: NDArray[np.str_],
        weights: NDArray[np.float64],
        centres: NDArray[Any],
        parts: NDArray[Any],
        lines: bool = False,
    ) -> None:
        self.block = block
        self.names, code = np.unique(labels, return_inverse=True)
        # One number for each window and label, so that `bincount` adds up all features in one pass.
        self.keys, self.group = np.unique(window * max(len(self.names), 1) + code, return_inverse=True)
        self.sizes = np.bincount(self.group, minlength=len(self.keys))
        self.totals = np.bincount(self.group, weights, len(self.keys))
        size, xy = float(block.grid.size), shapely.get_coordinates(centres)
        x = xy[:, 0] / size - block.columns[window]
        y = 1 - (xy[:, 1] / size - block.rows[window])  # northings rise, rows fall: 0 is the north-west corner
        self.x, self.y = (np.bincount(self.group, weights * v, len(self.keys)) / self.totals for v in (x, y))
        self.places = position(self.x, self.y)
        by_label = (np.flatnonzero(code == number) for number in range(len(self.names)))
        self.planes = [label_masks.burned(block, parts[own], lines) for own in by_label]

    def row(self, chip_ids: Sequence[str], group: int, columns: Mapping[str, Any], **measured: Any) -> dict[str, Any]:
        """The row of one window and label."""
        window, name = divmod(int(self.keys[group]), len(self.names))
        label, place = str(self.names[name]), str(self.places[group])
        return _row(chip_ids[window], label, columns, position=place, **measured)

    def placed(self, row: dict[str, Any], group: int, parts: NDArray[Any] | None = None) -> dict[str, Any]:
        """A row with the place of its label: the mask and, of features that have an extent, their boxes."""
        window, name = divmod(int(self.keys[group]), len(self.names))
        plane = self.planes[name][window]
        if not plane.any():  # smaller than a cell
            plane[label_masks.cell_of(self.x[group], self.y[group])] = True
        row["mask"] = label_masks.pack(plane)
        if parts is not None:
            row["boxes"] = label_masks.boxes(self.block, window, parts)
        return row


def _row(chip_id: str, label: str, columns: Mapping[str, Any], **measured: Any) -> dict[str, Any]:
    kind = columns["kind"]
    return {
        "chip_id": chip_id,
        "label": label,
        **measured,
        **columns,
        "kind": kind.get(label, "area") if isinstance(kind, Mapping) else kind,
    }
