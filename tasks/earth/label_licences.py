"""Where labels come from and under which licence: asked before they are read, kept beside what was made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import pystac

from tasks.earth.label_dates import Interval, joined
from tasks.earth.label_params import LabelsParams, SourceParams

UNKNOWN = "unknown"
OF_KINDS = {
    "osm": ("ODbL-1.0", "OpenStreetMap contributors", "https://www.openstreetmap.org/copyright"),
    "skyscript": ("ODbL-1.0", "SkyScript; OpenStreetMap contributors", "https://github.com/wangzhecheng/SkyScript"),
    # Parts of it are under ODbL, CC-BY and ODC-BY; which category is which is not in its files.
    "satlas": ("various", "SatlasPretrain, Allen Institute for AI", "https://github.com/allenai/satlas"),
}
"""What the publishers of a kind say, for a source that params.yaml does not say otherwise of."""


@dataclass(frozen=True)
class Origin:
    """Of one source: licence (SPDX where there is one), whom to name, and where it is described."""

    licence: str
    attribution: str | None
    url: str | None


def origin(
    name: str, params: SourceParams, items: Sequence[pystac.Item], collections: Mapping[str, Mapping[str, Any]]
) -> Origin:
    """What params.yaml says of a source, else its collection, else its items, else those who publish its kind.

    Args:
        name: of the source, and of its collection.
        params: of the source.
        items: its label items.
        collections: documents of the catalog's collections, by id.
    """
    said = _origin(collections.get(name, {}) if params.path is None else {}, items)
    kind = Origin(*OF_KINDS.get(params.kind, (UNKNOWN, None, None)))
    return Origin(
        params.licence or (said.licence if said.licence != UNKNOWN else kind.licence),
        params.attribution or said.attribution or kind.attribution,
        params.url or said.url or kind.url,
    )


def _origin(collection: Mapping[str, Any], items: Sequence[pystac.Item]) -> Origin:
    """What a collection says of itself, else its items."""
    own = next((licence for item in items if _text(licence := item.properties.get("license"))), None)
    providers = collection.get("providers") or []
    named = [str(one["name"]) for one in providers if isinstance(one, Mapping) and one.get("name")]
    links = [link for link in collection.get("links") or [] if isinstance(link, Mapping)]
    pages = [
        str(link.get("href")).strip() for rel in ("license", "cite-as") for link in links if link.get("rel") == rel
    ]
    return Origin(
        _text(collection.get("license")) or own or UNKNOWN,
        ", ".join(dict.fromkeys(named)) or None,
        next(iter(pages), None),
    )


def allowed(origins: Mapping[str, Origin], params: LabelsParams) -> tuple[dict[str, Origin], dict[str, str]]:
    """The sources that may be used, and why each of the others may not."""
    good = {name: origin for name, origin in origins.items() if params.allows(origin.licence)}
    refused = {
        name: f"source {name} is under licence '{origin.licence}', and labels.licences allows only "
        f"{', '.join(params.licences or [])}; name its licence under labels.sources.{name} if that is wrong"
        for name, origin in origins.items()
        if name not in good
    }
    return good, refused


def entry(origin: Origin, items: Sequence[str], date: str | None) -> dict[str, Any]:
    """What the ledger of licences says of one source.

    Args:
        origin: of it.
        items: names of the items or files that labels were taken from.
        date: that these hold for.
    """
    return {
        "licence": origin.licence,
        "attribution": origin.attribution,
        "url": origin.url,
        "items": sorted(items),
        "date": date,
    }


def imagery(
    items: Sequence[pystac.Item], collections: Mapping[str, Mapping[str, Any]], credit: str
) -> dict[str, dict[str, Any]]:
    """What the ledger of licences says of the scenes' collections.

    Args:
        items: the scenes.
        collections: documents of the catalog's collections, by id.
        credit: what must be said of anything made from the sensor's scenes; `{years}` are those of their acquisition.
    """
    found = {}
    for name in sorted({item.collection_id or "" for item in items}):
        own = [item for item in items if (item.collection_id or "") == name]
        times = [time for item in own if (time := Interval.of_item(item)) is not None]
        years = ", ".join(sorted({f"{time.start.year}" for time in times}))
        licence, _, url = astuple(_origin(collections.get(name, {}), own))
        found[name] = entry(Origin(licence, credit.format(years=years), url), [i.id for i in own], joined(times))
    return found


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip() else None
