"""`labels:` of params.yaml: which sources there are, of which kind, and what may be taken of them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tasks.core.errors import ParamsError
from tasks.core.section import Section
from tasks.earth import spectral_rules
from tasks.earth.label_dates import Interval
from tasks.earth.own_files import own_path
from tasks.earth.sensors import Sensor

Kind = Literal["polygon", "line", "point", "vector", "tag", "raster", "osm", "satlas", "skyscript"]
ValueRange = tuple[float, float]


def _text(value: Any) -> Any:
    """YAML reads 2021 as a number and 2021-06-30 as a date."""
    return str(value) if isinstance(value, int | date) else value


def _is_a_time(text: str) -> str:
    Interval.of_text(text)
    return text


class SourceParams(Section):
    """One label source: a collection of the catalog by its name there, or a file of one's own by its `path`."""

    kind: Kind = Field(
        description="polygon: areas; line and point: features that are counted; vector: each feature as what it is; "
        "tag: holds somewhere within a footprint; raster: classes by value; osm: an extract .osm.pbf; satlas: "
        "SatlasPretrain's folders of tiles; skyscript: SkyScript's metadata"
    )
    asset: str | None = Field(None, description="of a collection, the asset with the features; not for raster")
    path: Annotated[str, AfterValidator(own_path("labels"))] | None = Field(
        None, description="file, folder or pattern under inputs/labels, for a source that is no collection"
    )
    layer: str | None = Field(None, description="layer of the file, where it has several")
    attribute: str = Field("class", description="attribute of a feature that names its class")
    rasters: dict[str, dict[str, ValueRange]] = Field(
        default_factory=dict, description="for raster: asset -> class -> values from (included) to (excluded)"
    )
    classes: dict[str, ValueRange] = Field(
        default_factory=dict, description="for a raster of one's own: class -> values from (included) to (excluded)"
    )
    change: list[str] = Field(default_factory=list, description="classes that say what changed, not what is there")
    rename: dict[str, str] = Field(default_factory=dict, description="class of the source -> label")
    complete: bool = Field(False, description="whether a class that is not named is not there; OSM is not complete")
    date: Annotated[str, BeforeValidator(_text), AfterValidator(_is_a_time)] | None = Field(
        None, description="year, day or start/end that the labels hold for"
    )
    licence: str | None = Field(None, description="SPDX identifier; of a collection, what it says itself if not given")
    attribution: str | None = Field(None, description="whom to name; of a collection, its providers if not given")
    url: str | None = Field(None, description="where the source is described")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "SourceParams":
        if self.kind in ("osm", "satlas", "skyscript") and self.path is None:
            raise ValueError(f"an {self.kind} source is read from files of one's own: name its 'path'")
        if self.path is not None and (self.asset or self.rasters):
            raise ValueError("a source with a 'path' has no 'asset' and no 'rasters'; a raster has 'classes'")
        if self.path is not None and (self.kind == "raster") != bool(self.classes):
            raise ValueError("a raster of one's own needs 'classes'; no other kind has them")
        if self.path is None and self.classes:
            raise ValueError("'classes' go with a 'path'; a collection has 'rasters', by asset")
        if self.path is None and (
            (self.kind == "raster") != bool(self.rasters) or (self.kind == "raster") == bool(self.asset)
        ):
            raise ValueError("a raster source needs 'rasters', every other kind needs 'asset', or a 'path'")
        return self

    @property
    def tables(self) -> Mapping[str, Mapping[str, ValueRange]]:
        """Asset -> class -> values; the rasters of a path have no asset's name."""
        return self.rasters or ({"": self.classes} if self.classes else {})


class LabelsParams(Section):
    """`labels:` in params.yaml."""

    min_fraction: float = Field(gt=0, le=1, description="a label covering less of a window is not there")
    spectral: Literal["auto", "always", "never"] = Field(
        description="read land cover from the bands; auto: only where no label source covers the scene"
    )
    licences: list[str] | None = Field(
        None, description="licences that labels may have, as SPDX identifiers; a source of any other is left out"
    )
    sources: dict[str, SourceParams] = Field(description="by collection, or by a name of one's own")

    def of_files(self) -> dict[str, SourceParams]:
        """The sources that are files of one's own."""
        return {name: source for name, source in self.sources.items() if source.path is not None}

    def of_catalog(self, offered: Sequence[str]) -> dict[str, SourceParams]:
        """The sources that are collections, of those that a catalog offers."""
        return {n: s for n, s in self.sources.items() if s.path is None and n in offered}

    def allows(self, licence: str) -> bool:
        """Whether labels of a licence may be taken."""
        return self.licences is None or licence.lower() in {one.strip().lower() for one in self.licences}


def require_label_source(sensor: Sensor, catalog: str, offered: Sequence[str], params: LabelsParams) -> None:
    """Refuse a sensor that nothing can label: no source, and bands that do not tell land cover.

    Args:
        sensor: whose scenes are to be labelled.
        catalog: name of the catalog, for the message.
        offered: label collections that the catalog is asked for, or those that gave an item.
        params: `labels:` of params.yaml.

    Raises:
        ParamsError: says what can be done.
    """
    by_rules = params.spectral != "never" and spectral_rules.bands_of(sensor) is not None
    if by_rules or params.of_files() or params.of_catalog(offered):
        return
    why = "labels.spectral is 'never'" if spectral_rules.bands_of(sensor) else "its bands do not tell land cover"
    raise ParamsError(
        f"{sensor.name} cannot be labelled: {why}, and none of labels.sources is in reach (catalog '{catalog}' gives "
        f"{', '.join(offered) or 'no label collection'}; known: {', '.join(sorted(params.sources)) or 'none'}). Name a "
        f"file of your own under labels.sources, a label collection under catalogs.{catalog}.labels, or take "
        f"{sensor.name} out of sensors.enabled"
    )
