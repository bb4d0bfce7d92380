"""Stage `scenes`: search the catalog per sensor, area, time and cloud, and freeze what was found.

Later stages read the recorded list only, so that a rebuild next year sees the same scenes. Label sources that touch
the scenes, and the scenes' thumbnails, are recorded beside them. Zero scenes is an error that names the condition
that emptied the search.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
from pydantic import Field
from pyproj import CRS

from tasks.core import paths
from tasks.core.errors import CatalogError, EmptyStageError
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, atomic, main, write_json
from tasks.earth.areas import load_areas
from tasks.earth.catalog import Catalog, Query, open_catalog
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.sensors import SENSORS

logger = logging.getLogger(__name__)
THUMBNAIL_LIMIT = 2_000_000
"""Bytes; a larger preview is left where it is."""


class ScenesParams(Section):
    """`scenes:` in params.yaml."""

    max_items: int = Field(ge=1, description="items at most, per collection and area; more is an error, not a cut")


class SearchParams(Section):
    """`sensors.<name>:` in params.yaml."""

    datetime: str = Field(description="interval as in STAC, start/end, `..` for open")
    max_scene_cloud: float | None = Field(ge=0, le=100, description="percent of a scene; null: not asked (radar)")


def search_scenes(catalog: Catalog, sensor: str, search: SearchParams, limit: int) -> list[pystac.Item]:
    """All scenes of a sensor in all areas, each once, ordered by collection and id.

    Raises:
        EmptyStageError: nothing was found; says why for each collection and area.
        CatalogError: a search gave more than `limit` items, so that some would be lost in silence.
    """
    collections = catalog.params.collections.get(sensor, [])
    if not collections:
        raise EmptyStageError(
            f"catalog '{catalog.name}' lists no collection for sensor '{sensor}'; name one under "
            f"catalogs.{catalog.name}.collections, or take the sensor out of sensors.enabled"
        )
    queries = [
        Query(collection, box, search.datetime, search.max_scene_cloud)
        for collection in collections
        for box in load_areas().boxes
    ]
    found: dict[tuple[str, str], pystac.Item] = {}
    for query in progress(queries, f"searching {catalog.name} for {sensor}"):
        items = catalog.search(query, limit + 1)
        if len(items) > limit:
            raise CatalogError(
                f"more than {limit} items of '{query.collection}' in {query.bbox}; raise scenes.max_items, "
                "or ask for a smaller area or time"
            )
        found.update({(query.collection, item.id): item for item in items})
    if not found:
        reasons = dict.fromkeys(catalog.explain_nothing(query) for query in queries)
        raise EmptyStageError(f"no scene of {sensor}: " + "; ".join(reasons))
    return [found[key] for key in sorted(found)]


def search_labels(catalog: Catalog, scenes: Sequence[pystac.Item], limit: int) -> list[pystac.Item]:
    """Items of the catalog's label collections that touch any of the scenes."""
    found: dict[tuple[str, str], pystac.Item] = {}
    for collection in catalog.params.labels:
        for scene in scenes:
            for item in catalog.search(Query(collection, scene.bbox, None, None), limit):
                found[(collection, item.id)] = item
    return [found[key] for key in sorted(found)]


def freeze(items: Sequence[pystac.Item], path: Path) -> None:
    """Write items as stac-geoparquet; no items, no rows."""
    import stac_geoparquet.arrow  # here, for it brings pandas with it, and the parameters of this module are read often

    if items:
        table = stac_geoparquet.arrow.parse_stac_items_to_arrow([item.to_dict() for item in items]).read_all()
    else:
        table = pa.table({"id": pa.array([], pa.string())})
    with atomic(path) as partial:
        if items:
            stac_geoparquet.arrow.to_parquet(table, partial)
        else:
            pq.write_table(table, partial)


def save_thumbnails(catalog: Catalog, scenes: Sequence[pystac.Item], folder: Path) -> int:
    """Fetch the scenes' previews, for the report's maps; returns how many there were."""
    bounds: dict[str, dict[str, object]] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for item in scenes:
        asset = item.assets.get("thumbnail")
        box, epsg = item.properties.get("proj:bbox"), _epsg(item)
        if asset is None or box is None or epsg is None or asset.media_type != pystac.MediaType.PNG:
            continue
        try:
            response = httpx.get(catalog.href(asset.href), timeout=30, follow_redirects=True)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise CatalogError(f"scene {item.id}: its thumbnail {asset.href} cannot be read: {error}") from error
        if len(response.content) <= THUMBNAIL_LIMIT:
            with atomic(folder / f"{Path(item.id).name}.png") as partial:
                partial.write_bytes(response.content)
            bounds[item.id] = {"bounds": list(box), "crs": f"EPSG:{epsg}"}
    write_json(folder.parent / "thumbnails.json", bounds)
    return len(bounds)


def _epsg(item: pystac.Item) -> int | None:
    code = item.properties.get("proj:code") or item.properties.get("proj:epsg")
    return CRS.from_user_input(code).to_epsg() if code else None


def run(sensor: str) -> Summary:
    """Search and freeze the scenes of one sensor."""
    params = load(ScenesParams, "scenes")
    search = load(SearchParams, f"sensors.{sensor}")
    folder = paths.scenes(sensor)
    with open_catalog(search=True) as catalog:
        require_label_source(SENSORS[sensor], catalog.name, catalog.params.labels, load(LabelsParams, "labels"))
        scenes = search_scenes(catalog, sensor, search, params.max_items)
        label_items = search_labels(catalog, scenes, params.max_items)
        freeze(scenes, folder / "items.parquet")
        freeze(label_items, folder / "labels.parquet")
        thumbnails = save_thumbnails(catalog, scenes, folder / "thumbnails")
    logger.info("%s: %d scenes, %d label items from '%s'", sensor, len(scenes), len(label_items), catalog.name)
    collections = sorted({str(item.collection_id) for item in scenes})
    return {
        "catalog": catalog.name,
        "scenes": len(scenes),
        "label_items": len(label_items),
        "thumbnails": thumbnails,
        "collections": {c: sum(item.collection_id == c for item in scenes) for c in collections},
    }


if __name__ == "__main__":
    main("scenes", run)
