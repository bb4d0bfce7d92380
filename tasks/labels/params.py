"""`labels:` in params.yaml: the label sources a catalog may offer, and how their classes are read."""

from typing import Literal

from pydantic import Field, model_validator

from tasks.core.section import Section

Kind = Literal["polygon", "tag", "raster"]


class SourceParams(Section):
    """One label source, by the name of its collection in the catalog."""

    kind: Kind = Field(description="polygon: areas; tag: holds somewhere within a footprint; raster: classes by value")
    asset: str | None = Field(None, description="asset with the features, for polygon and tag")
    attribute: str = Field("class", description="attribute of a feature that names its class")
    rasters: dict[str, dict[str, tuple[float, float]]] = Field(
        default_factory=dict, description="for raster: asset -> class -> values from (included) to (excluded)"
    )
    change: list[str] = Field(default_factory=list, description="classes that say what changed, not what is there")
    rename: dict[str, str] = Field(default_factory=dict, description="class of the source -> label")
    complete: bool = Field(description="whether a class that is not named is not there; OSM is not complete")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "SourceParams":
        if (self.kind == "raster") != bool(self.rasters) or (self.kind == "raster") == bool(self.asset):
            raise ValueError("a raster source needs 'rasters', every other kind needs 'asset'")
        return self


class LabelsParams(Section):
    """`labels:` in params.yaml."""

    min_fraction: float = Field(gt=0, le=1, description="a label covering less of a window is not there")
    spectral: Literal["auto", "always", "never"] = Field(
        description="read land cover from the bands; auto: only where no label source covers the scene"
    )
    sources: dict[str, SourceParams] = Field(description="by collection")
