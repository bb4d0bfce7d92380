"""Stage `scenes`: search the catalog per sensor, area, time and cloud, and freeze what was found.

Later stages read the recorded list only, so that a rebuild next year sees the same scenes. Label sources that touch
the scenes, the collections and the scenes' previews are recorded beside them, and a row for every item that a catalog
gave and that was not taken. Zero scenes is an error that names the condition that emptied the search.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any

import pystac
from pydantic import AfterValidator, BeforeValidator, Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main
from tasks.earth.acquisitions import baseline_of, supersede
from tasks.earth.areas import load_areas
from tasks.earth.asset_versions import freeze_versions
from tasks.earth.catalog import Catalog, Query, Refused, open_catalog
from tasks.earth.catalog_params import selected
from tasks.earth.conditions import cloud_cover, interval, item_boxes
from tasks.earth.grid import GridParams
from tasks.earth.http import MAX_WAIT
from tasks.earth.items import write_collections, write_items
from tasks.earth.label_params import LabelsParams, require_label_source
from tasks.earth.previews import save_previews
from tasks.earth.scene_costs import cost_of, plan, searched
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)


class ScenesParams(Section):
    """`scenes:` in params.yaml."""

    max_items: int = Field(ge=1, description="items at most, per collection and area; more is an error, not a cut")
    max_windows: int = Field(
        ge=1,
        description="candidate windows that the scenes of one sensor may have, before any is recorded; more is an "
        "error that says what they would cost",
    )
    max_wait: float = Field(
        MAX_WAIT, ge=0, description="seconds that a request waits in all, however long a server asks it to"
    )


def _as_text(value: Any) -> Any:
    """YAML reads 2020 as a number and 2020-06-10 as a date."""
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_interval(text: str) -> str:
    interval(text)
    return text


class SearchParams(Section):
    """`sensors.<name>:` in params.yaml."""

    datetime: Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_interval)] = Field(
        description="a day, month or year, or an interval of them as in STAC: start/end, both with all of their days, "
        "`..` for open"
    )
    max_scene_cloud: float | None = Field(
        ge=0,
        le=100,
        description="percent of a scene; null: not asked (radar). A scene that does not say is kept",
    )


@dataclass
class Scenes:
    """What was found for one sensor."""

    items: list[pystac.Item] = field(default_factory=list)
    """Scenes, each once, ordered by collection and id."""
    superseded: list[tuple[pystac.Item, pystac.Item]] = field(default_factory=list)
    """Items that show a scene again, each with the one that is taken."""
    refused: list[Refused] = field(default_factory=list)
    """What the catalog gave and cannot be worked with."""


def search_scenes(catalog: Catalog, sensor: Sensor, search: SearchParams, params: ScenesParams, cell: int) -> Scenes:
    """All scenes of a sensor in all areas; `cell` is the side of a cell of the grid in metres.

    Raises:
        ParamsError: they would have more windows than `params` allows.
        EmptyStageError: nothing was found; says why for each collection and area.
        CatalogError: a search gave more than `params.max_items` items, so that some would be lost in silence.
    """
    collections = catalog.params.collections.get(sensor.name, [])
    if not collections:
        raise EmptyStageError(
            f"catalog '{catalog.name}' lists no collection for sensor '{sensor.name}'; name one under "
            f"catalogs.{catalog.name}.collections, or take the sensor out of sensors.enabled"
        )
    queries = [
        Query(collection, box, search.datetime, search.max_scene_cloud)
        for collection in collections
        for box in load_areas().boxes
    ]
    plan(catalog, queries, sensor, cell, params.max_windows)
    items: dict[tuple[str, str], pystac.Item] = {}
    refused: dict[Refused, None] = {}
    for query in progress(queries, f"searching {catalog.name} for {sensor.name}"):
        found = catalog.find(query, params.max_items)
        items |= {(query.collection, item.id): item for item in found.items}
        refused |= dict.fromkeys(found.refused)
    if not items:
        reasons = dict.fromkeys(catalog.explain_nothing(query) for query in queries)
        raise EmptyStageError(f"no scene of {sensor.name}: " + "; ".join(reasons))
    cost = cost_of(list(items.values()), searched(queries), sensor, cell)
    cost.require(params.max_windows, sensor.name, "found")
    kept, superseded = supersede([items[key] for key in sorted(items)], sensor, collections)
    return Scenes(kept, superseded, sorted(refused, key=lambda row: (row.collection, row.item_id, row.detail)))


def search_labels(catalog: Catalog, scenes: Sequence[pystac.Item], limit: int) -> Scenes:
    """Items of the catalog's label collections that touch any of the scenes, and what of them cannot be worked with."""
    boxes = dict.fromkeys(box for scene in scenes for box in item_boxes(scene))
    found: dict[tuple[str, str], pystac.Item] = {}
    refused: dict[Refused, None] = {}
    for collection in catalog.params.labels:
        for box in boxes:
            came = catalog.find(Query(collection, box, None, None), limit)
            found |= {(collection, item.id): item for item in came.items}
            refused |= dict.fromkeys(came.refused)
    return Scenes(
        [found[key] for key in sorted(found)],
        refused=sorted(refused, key=lambda row: (row.collection, row.item_id, row.detail)),
    )


def quarantine(scenes: Scenes, sensor: str) -> list[dict[str, str]]:
    """A row for every item that was not taken, `asset` holding its collection."""
    rows = [
        {"item_id": row.item_id, "asset": row.collection, "reason": row.reason, "detail": row.detail}
        for row in scenes.refused
    ]
    for item, taken in scenes.superseded:
        newer = f", of baseline {baseline_of(taken)}" if baseline_of(taken) != baseline_of(item) else ""
        rows.append(
            {
                "item_id": item.id,
                "asset": str(item.collection_id),
                "reason": "superseded",
                "detail": f"the same scene as {taken.id} of '{taken.collection_id}'{newer}, which is taken",
            }
        )
    return [{"sensor": sensor, **row} for row in rows]


def run(sensor: str) -> Summary:
    """Search and freeze the scenes of one sensor."""
    params, grid = load(ScenesParams, "scenes"), load(GridParams, "grid")
    search = load(SearchParams, f"sensors.{sensor}")
    folder = paths.scenes(sensor)
    name, preset = selected()
    require_label_source(SENSORS[sensor], name, preset.labels, load(LabelsParams, "labels"))
    with open_catalog(search=True, max_wait=params.max_wait) as catalog:
        scenes = search_scenes(catalog, SENSORS[sensor], search, params, grid.cell)
        labels = search_labels(catalog, scenes.items, params.max_items)
        collections = sorted({str(item.collection_id) for item in (*scenes.items, *labels.items)})
        documents = {name: document for name in collections if (document := catalog.collection(name))}
        write_items(scenes.items, folder / "items.parquet")
        write_items(labels.items, folder / "labels.parquet")
        write_collections(documents, folder)
        sources = load(LabelsParams, "labels").sources
        labelled = [(item, sources[name]) for item in labels.items if (name := str(item.collection_id)) in sources]
        versions = freeze_versions(catalog, scenes.items, documents, SENSORS[sensor], folder, labelled)
        previews = save_previews(catalog, scenes.items, folder)
    rows = [*quarantine(scenes, sensor), *quarantine(labels, sensor)]
    tables.write_rows(rows, tables.QUARANTINE, folder / "quarantine.parquet")
    for row in rows:
        logger.warning("left out: %s of '%s': %s", row["item_id"] or "a page", row["asset"], row["detail"])
    asked = search.max_scene_cloud is not None
    unknown = [item.id for item in scenes.items if asked and cloud_cover({"properties": item.properties}) is None]
    if unknown:
        logger.warning(
            "%d scenes do not say how cloudy they are, kept for their masks to say: %s", len(unknown), unknown
        )
    logger.info("%s: %d scenes, %d label items from '%s'", sensor, len(scenes.items), len(labels.items), catalog.name)
    used = sorted({str(item.collection_id) for item in scenes.items})
    return {
        "catalog": catalog.name,
        "scenes": len(scenes.items),
        "superseded": len(scenes.superseded),
        "refused": len(scenes.refused),
        "cloud_unknown": len(unknown),
        "label_items": len(labels.items),
        "versions": versions,
        "thumbnails": previews.kept,
        "thumbnails_skipped": previews.skipped,
        "collections": {name: sum(item.collection_id == name for item in scenes.items) for name in used},
    }


if __name__ == "__main__":
    main("scenes", run)
