"""The presets under `catalogs:` in params.yaml."""

from typing import Literal

from pydantic import Field

from tasks.core.errors import ParamsError
from tasks.core.section import Section, load, read_params

NUMBERS = "earthloom:numbers"
"""Field of a collection's document under which params.yaml says what its numbers are, where nobody else does."""


class Numbers(Section):
    """What the numbers of a collection are: value = number * scale + offset, in `unit`."""

    scale: float | None = Field(None, description="physical value of a step")
    offset: float | None = Field(None, description="physical value of the number 0")
    unit: str | None = Field(None, description="of radar: power, amplitude or dB; kelvin of a thermal band")
    nodata: float | None = Field(None, description="number that stands for no data")


class CatalogParams(Section):
    """One preset under `catalogs:` in params.yaml."""

    url: str = Field(
        description="root of a STAC API or of a static catalog, or a folder that holds one; `embedded:<folder>` serves "
        "a folder on loopback"
    )
    collections: dict[str, list[str]] = Field(
        description="collections to search, by sensor; of two that offer the same scene, the one named first is taken"
    )
    labels: list[str] = Field(description="collections whose items are label sources")
    sign: Literal["none", "embedded", "planetary-computer", "s3"] = Field(description="how assets are reached")
    requests_per_second: float = Field(gt=0, description="what the catalog's operator tolerates")
    hosts: list[str] = Field(
        [],
        description="where else its files may lie: `host`, `*.host` or `s3://bucket`. Its own host, and with "
        "s3_endpoint every bucket there, need no entry",
    )
    source: Literal["stac", "sentinel-hub"] = Field(
        "stac", description="whose API it is; sentinel-hub computes pixels for an account: docs/how-to/sentinel-hub.md"
    )
    token_url: str | None = Field(None, description="of Sentinel Hub: where the account's credentials get a token")
    deployments: dict[str, str] = Field(
        {}, description="of Sentinel Hub: root of the deployment that holds a collection, where it is not `url`"
    )
    numbers: dict[str, Numbers] = Field(
        {}, description="by collection: what its numbers are, where file, item and collection do not say it"
    )
    area: tuple[float, float, float, float] | None = Field(
        None, description="[west, south, east, north] in degrees, small: where `earthloom catalog probe` looks"
    )
    s3_endpoint: str | None = Field(None, description="host of the object store, where it is not AWS")
    s3_requester_pays: bool = Field(
        False, description="whether reads are billed to the reader, where the items do not say so"
    )


def selected(name: str | None = None) -> tuple[str, CatalogParams]:
    """The catalog that params.yaml chooses, or the one called `name`, with its name.

    Raises:
        ParamsError: it is not one of the presets.
    """
    values = read_params()
    what = "'catalog'" if name is None else "the catalog asked for"
    name = values.get("catalog") if name is None else name
    if name not in values.get("catalogs", {}):
        allowed = ", ".join(sorted(values.get("catalogs", {})))
        raise ParamsError(f"params.yaml: {what} is {name!r}; the presets under 'catalogs' are: {allowed}")
    return str(name), load(CatalogParams, f"catalogs.{name}")
