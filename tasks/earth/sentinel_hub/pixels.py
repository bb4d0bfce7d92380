"""Pixels of one scene from Sentinel Hub's Process API, on exactly the grid that is asked for.

One request a block and resampling, all its bands in one response; the numbers are those of the product's own files
(see `collections.toml`), so that they are calibrated and checked like numbers of a file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from sentinelhub.api.process import SentinelHubRequest
from sentinelhub.constants import CRS, MimeType, MosaickingOrder
from sentinelhub.download.models import DownloadRequest
from sentinelhub.geometry import BBox

from tasks.core.errors import SceneError, UnreachableError
from tasks.earth.raster import TargetGrid
from tasks.earth.sentinel_hub.account import LIMIT, Account
from tasks.earth.sentinel_hub.collections import Collection, Plane, Resampling, collection_of, evalscript
from tasks.earth.sentinel_hub.extent import own_grid

LARGEST = 2500
"""Pixels a side that the service computes in one request."""
SLACK = timedelta(seconds=1)
"""Around the time of a scene. Neighbours of its overpass are seconds away, other overpasses hours."""
BYTES = {"UINT16": 2, "FLOAT32": 4}
Numbers = tuple[NDArray[Any], NDArray[np.bool_]]


@dataclass(frozen=True)
class Tile:
    """A part of a target grid that one request can hold."""

    grid: TargetGrid
    row: int
    column: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top), metres."""
        grid = self.grid
        return grid.left, grid.top - grid.height * grid.gsd, grid.left + grid.width * grid.gsd, grid.top


def tiles(target: TargetGrid, largest: int = LARGEST) -> Iterator[Tile]:
    """A target grid in parts of at most `largest` pixels a side, whose pixels are the target's own."""
    for row in range(0, target.height, largest):
        for column in range(0, target.width, largest):
            grid = TargetGrid(
                epsg=target.epsg,
                left=target.left + column * target.gsd,
                top=target.top - row * target.gsd,
                gsd=target.gsd,
                width=min(largest, target.width - column),
                height=min(largest, target.height - row),
            )
            yield Tile(grid, row, column)


def read(item: pystac.Item, keys: Sequence[str], target: TargetGrid, account: Account) -> dict[str, Numbers]:
    """Bands and masks of a scene on the pixels of `target`.

    Bands are sampled to the nearest pixel where the scene is gridded in the target's zone, and bilinearly elsewhere,
    as files are; classes and bits are sampled to the nearest pixel everywhere.

    Args:
        item: a scene as `search` made it.
        keys: asset keys of the bands.
        target: where.
        account: see `open_account`.

    Returns:
        For each key numbers as the item's assets describe them, [height, width], and which of them are valid.

    Raises:
        SceneError: the scene has no such band, or no time.
        UnreachableError: the service cannot be reached, is at its limits, or answers with something else.
        CatalogError: it refuses the account or the request.
    """
    collection = collection_of(item)
    planes = collection.planes_of(item.properties)
    if missing := [key for key in keys if key not in planes]:
        raise SceneError(
            "missing-asset", f"scene {item.id} has no {', '.join(missing)} at Sentinel Hub; it has {', '.join(planes)}"
        )
    found: dict[str, Numbers] = {}
    for resampling in ("NEAREST", "BILINEAR"):
        group = [planes[key] for key in keys if _resampling(planes[key], collection, item, target) == resampling]
        if group:
            found |= _read_group(item, collection, group, resampling, target, account)
    return {key: found[key] for key in keys}


def _resampling(plane: Plane, collection: Collection, item: pystac.Item, target: TargetGrid) -> Resampling:
    if plane.codes:
        return "NEAREST"
    return collection.resampling if own_grid(item)[0] == target.epsg else "BILINEAR"


def _read_group(
    item: pystac.Item,
    collection: Collection,
    planes: Sequence[Plane],
    resampling: Resampling,
    target: TargetGrid,
    account: Account,
) -> dict[str, Numbers]:
    """Planes of one resampling, put together from the parts that the service can compute."""
    data_type = collection.sample_type.lower()
    values = np.zeros((len(planes), target.height, target.width), dtype=data_type)
    inside = np.zeros((target.height, target.width), dtype=bool)
    parts = list(tiles(target))
    wanted = [_request(item, collection, planes, resampling, part, account) for part in parts]
    what = f"scene {item.id}, {', '.join(plane.key for plane in planes)}"
    for part, stack in zip(
        parts, _download(wanted, parts, len(planes) + 1, data_type, what, account, collection), strict=True
    ):
        where = np.s_[part.row : part.row + part.grid.height, part.column : part.column + part.grid.width]
        values[:, *where], inside[where] = stack[:-1], stack[-1] > 0
    inside &= _within(item, target)
    found: dict[str, Numbers] = {}
    for plane, numbers in zip(planes, values, strict=True):
        # No class or bit field is taken for missing: what 0 means is known to the mask's layout.
        found[plane.key] = numbers, inside & (np.isfinite(numbers) & (numbers != 0) | plane.codes)
    return found


def _request(
    item: pystac.Item,
    collection: Collection,
    planes: Sequence[Plane],
    resampling: Resampling,
    part: Tile,
    account: Account,
) -> DownloadRequest:
    request = SentinelHubRequest(
        evalscript=evalscript(planes, collection.sample_type, collection.empty(item.id)),
        # Not `SentinelHubRequest.input_data`: its collections bring the address of a deployment, before params.yaml's.
        input_data=[
            {
                "type": collection.name,
                "dataFilter": {
                    "timeRange": _time_range(item),
                    "mosaickingOrder": MosaickingOrder.LEAST_RECENT.value,
                    **{
                        name: item.properties[field]
                        for name, field in collection.filter.items()
                        if field in item.properties
                    },
                },
                "processing": {"upsampling": resampling, "downsampling": resampling, **collection.processing},
            }
        ],
        responses=[SentinelHubRequest.output_response("default", MimeType.TIFF)],
        bbox=BBox(part.bounds, CRS(str(part.grid.epsg))),
        size=(part.grid.width, part.grid.height),
        config=account.config(collection.name),
    )
    (download,) = request.download_list
    size = part.grid.width * part.grid.height * (len(planes) + 1) * BYTES[collection.sample_type]
    download.extra_params[LIMIT] = size + size // 8 + 1_000_000  # a TIFF that does not compress, and its header
    return download


def _time_range(item: pystac.Item) -> dict[str, str]:
    when: datetime | None = item.datetime or item.common_metadata.start_datetime
    if when is None:
        raise SceneError("no-datetime", f"scene {item.id} has no time by which Sentinel Hub could be asked for it")
    span = {"from": when - SLACK, "to": when + SLACK}
    return {name: f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z" for name, time in span.items()}


def _download(
    wanted: Sequence[DownloadRequest],
    parts: Sequence[Tile],
    count: int,
    data_type: str,
    what: str,
    account: Account,
    collection: Collection,
) -> list[NDArray[Any]]:
    """The images of all parts; one that comes damaged is asked for once more."""
    stacks: dict[int, NDArray[Any]] = {}
    reasons: dict[int, str] = {}
    for _ in range(2):
        missing = [index for index in range(len(parts)) if index not in stacks]
        answers = account.download(collection.name, [wanted[index] for index in missing], what) if missing else []
        for index, answer in zip(missing, answers, strict=True):
            try:
                stacks[index] = _decode(answer.content, parts[index].grid, count, data_type)
            except (RasterioError, ValueError) as error:
                reasons[index] = str(error)
    if len(stacks) < len(parts):
        reason = next(reason for index, reason in reasons.items() if index not in stacks)
        raise UnreachableError(
            f"{what}: Sentinel Hub answers twice with something else than the image asked for: {reason}. What was "
            "finished is kept: run the same command again later"
        )
    return [stacks[index] for index in range(len(parts))]


def _decode(content: bytes, grid: TargetGrid, count: int, data_type: str) -> NDArray[Any]:
    """The numbers of a response, [count, height, width], if it is what was asked for and where.

    Raises:
        ValueError, RasterioError: it is not.
    """
    with rasterio.MemoryFile(content) as file, file.open(driver="GTiff") as image:
        # Asked before memory is taken: a small file can unfold to a large image.
        came = (image.count, image.height, image.width, image.dtypes[0])
        if came != (asked := (count, grid.height, grid.width, data_type)):
            raise ValueError(f"(bands, height, width, type) are {came} for {asked}")
        if image.crs is None or image.crs.to_epsg() != grid.epsg:
            raise ValueError(f"its coordinate system is {image.crs}, not EPSG:{grid.epsg}")
        if not image.transform.almost_equals(grid.transform, precision=grid.gsd / 100):
            raise ValueError(f"it lies at {tuple(image.transform)[:6]}, not at {tuple(grid.transform)[:6]}")
        numbers: NDArray[Any] = image.read()
        return numbers


def _within(item: pystac.Item, target: TargetGrid) -> NDArray[np.bool_]:
    """Which pixels lie in the scene's own box: a neighbour taken within the same second belongs to another item."""
    epsg, box = own_grid(item)
    if epsg != target.epsg or box is None:
        return np.ones((target.height, target.width), dtype=bool)
    x = target.left + (np.arange(target.width) + 0.5) * target.gsd
    y = target.top - (np.arange(target.height) + 0.5) * target.gsd
    return np.outer((y > box.bottom) & (y < box.top), (x > box.left) & (x < box.right))
