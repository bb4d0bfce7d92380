"""`labels` of one scene as a job: what it depends on, and the files that it leaves."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pystac

from tasks.core import tables
from tasks.core.fan_out import Job, Make, code_of
from tasks.core.stage import fingerprint, write_json
from tasks.earth import label_files
from tasks.earth.asset_versions import label_assets, vouched
from tasks.earth.catalog import Catalog
from tasks.earth.grid import GridParams
from tasks.earth.items import to_item
from tasks.earth.label_files import Downloads
from tasks.earth.label_licences import Origin
from tasks.earth.label_params import LabelsParams
from tasks.earth.label_rows import COMPLETE, SCHEMA
from tasks.earth.label_sources import LabelSource, Library, open_libraries, windows_of
from tasks.earth.scene_jobs import CatalogAddress, SceneArgument, scene_key
from tasks.earth.scene_labels import label_scene
from tasks.earth.sensors import SENSORS

ROWS, WHOLE, SAID = "rows.parquet", "complete.parquet", "said.json"
ROWS_ORDER, WHOLE_ORDER = ("chip_id", "label", "source"), ("chip_id", "source")


@dataclass(frozen=True)
class LabelArgument:
    """One scene with what can label it, as it travels to a worker."""

    scene: SceneArgument
    windows: pl.DataFrame
    items: Sequence[tuple[str, str]]
    """Source and JSON of each label item that holds for the scene."""
    versions: Mapping[str, str]
    """Of their assets, as they were frozen, by href."""


@dataclass(frozen=True)
class LabelWork:
    """What the labels of a sensor's scenes have in common."""

    sensor: str
    catalog: CatalogAddress
    grid: GridParams
    params: LabelsParams
    origins: Mapping[str, Origin]
    """Licence of each source that may be used."""
    module: str = "tasks.earth.label_jobs"

    @contextmanager
    def opened(self, workers: int) -> Iterator[Make]:
        """A catalog, and files of one's own and of the catalog, that are open from scene to scene."""
        catalog, sensor = self.catalog.opened(workers), SENSORS[self.sensor]
        with closing(Downloads(catalog)) as downloads:
            files = self.params.model_copy(update={"sources": self.params.of_files()})
            own, _ = open_libraries(files, [], catalog, downloads, self.origins)
            at_start = {library.name: dict(library.lost) for library in own}

            def make(argument: LabelArgument, folder: Path) -> bool:
                item = argument.scene.opened(catalog)
                catalog.frozen = {**argument.scene.versions, **argument.versions}
                libraries = [*own, *self._of_items(argument, catalog, downloads)]
                for library in libraries:
                    library.used.clear()
                    library.lost.clear()
                    library.lost.update(at_start.get(library.name, {}))
                sources = sources_of(item, argument.windows, libraries)
                found = label_scene(
                    item, argument.windows, sources, sensor, catalog, self.params, self.grid, argument.scene.collection
                )
                tables.write_rows(sorted(found.rows, key=in_order(ROWS_ORDER)), SCHEMA, folder / ROWS)
                tables.write_rows(sorted(found.complete, key=in_order(WHOLE_ORDER)), COMPLETE, folder / WHOLE)
                failed = {name: [e.reason, str(e)] for source in sources for name, e in source.failed.items()}
                said = {
                    "used": {one.name: sorted(one.used) for one in libraries if one.used},
                    "lost": {one.name: dict(one.lost) for one in libraries if one.lost},
                    "failed": failed,
                }
                write_json(folder / SAID, said)
                return not failed

            yield make

    def _of_items(self, argument: LabelArgument, catalog: Catalog, downloads: Downloads) -> list[Library]:
        items = defaultdict(list)
        for name, text in argument.items:
            items[name].append(to_item(json.loads(text)))
        sources = {name: self.params.sources[name] for name in items}
        some = self.params.model_copy(update={"sources": sources})
        every = [one for of_source in items.values() for one in of_source]
        return open_libraries(some, every, catalog, downloads, self.origins)[0]

    def job(
        self,
        item: pystac.Item,
        windows: pl.DataFrame,
        libraries: Sequence[Library],
        label_items: Mapping[tuple[str, str], pystac.Item],
        collections: Mapping[str, Any],
        catalog: Catalog,
    ) -> Job:
        """The labels of one scene's windows.

        Args:
            item: the scene.
            windows: of it, as `scan` left them.
            libraries: all sources.
            label_items: of the catalog, by source and id.
            collections: documents of the catalog's collections, by id.
            catalog: open here.
        """
        sensor = SENSORS[self.sensor]
        scene = SceneArgument.of(item, item.id, sensor, catalog, collections)
        own, known = scene_key(scene, item, sensor, catalog)
        items, sources, versions = [], [], {}
        places, when = windows_of(windows), item.datetime or item.common_metadata.start_datetime
        for library in libraries:
            names = [library.entries[index].name for index in library.near(places, when)]
            if not names:
                continue
            params = library.params
            if params.path is not None:
                made_of: Any = [_content(name if Path(name).is_file() else params.path) for name in names]
            else:
                made_of = []
                for name in names:
                    label = label_items[(library.name, name)]
                    text = json.dumps(label.to_dict(transform_hrefs=False), sort_keys=True)
                    items.append((library.name, text))
                    for asset in label_assets(label, params):
                        versions[asset.href] = vouched(catalog, asset.href, catalog.store(asset))
                    made_of.append(text)
            sources.append([library.name, params.model_dump(), vars(library.origin), made_of])
        known = known and all(versions.values())
        rules = self.params.model_dump(include={"min_fraction", "spectral"})
        grid = self.grid.model_dump(exclude={"parts"})
        key = fingerprint(code_of(self.module), own, windows.write_csv(), sources, versions, rules, grid)
        frozen = {href: catalog.frozen[href] for href in versions if href in catalog.frozen}
        return Job(f"scene {item.id}", key, LabelArgument(scene, windows, items, frozen), known)


def sources_of(item: pystac.Item, windows: pl.DataFrame, libraries: Sequence[Library]) -> list[LabelSource]:
    """The sources that have something for a scene's windows."""
    places, when = windows_of(windows), item.datetime or item.common_metadata.start_datetime
    found = (library.for_scene(places, when) for library in libraries)
    return [source for source in found if source is not None]


def in_order(columns: Sequence[str]) -> Any:
    """The key that rows of a table are sorted by."""
    return lambda row: tuple(row[column] for column in columns)


@cache
def _content(path: str) -> str:
    """Hash of a file of one's own, or of all that its path names; asked once a run."""
    return fingerprint(*([Path(path)] if Path(path).exists() else label_files.expand(path, ())))
