"""Where in the world: a dotted land map in the Equal Earth projection with one numbered mark a site."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pystac
import shapely
from markupsafe import Markup, escape
from pyproj import Transformer

from tasks.earth.areas import Areas
from tasks.earth.conditions import item_boxes
from tasks.earth.land_mask import is_land
from tasks.pages.svg import number

WIDTH = 960.0
NORTH, SOUTH, WEST = 76.0, -56.0, -132.0
"""Edges of the map; farther west lies little land, so it begins there unless a site does."""
DOT = 1.7
"""Degrees between the dots of the land."""
NEAR = 0.25
"""Scenes less than this many degrees apart are one site."""


@dataclass(frozen=True)
class Site:
    """Scenes that lie together, of any sensor."""

    number: int
    name: str
    longitude: float
    latitude: float
    scenes: Sequence[tuple[str, pystac.Item]]
    """(sensor, scene), by sensor and id."""

    @property
    def place(self) -> str:
        """Its coordinates as people write them."""
        north, east = "NS"[self.latitude < 0], "EW"[self.longitude < 0]
        return f"{abs(self.latitude):.2f}\u00b0 {north}, {abs(self.longitude):.2f}\u00b0 {east}"


def sites(scenes: Sequence[tuple[str, pystac.Item]], areas: Areas) -> list[Site]:
    """Groups of scenes that (nearly) touch, from west to east, named after the smallest area they lie in."""
    boxes = [_grown(item_boxes(item)[0]) for _, item in scenes]
    group = list(range(len(scenes)))
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes[:i]):
            if a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]:
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    found = []
    for name in sorted(set(group)):
        members = sorted(
            (scenes[i] for i, g in enumerate(group) if g == name), key=lambda scene: (scene[0], scene[1].id)
        )
        own = np.array([box for box, g in zip(boxes, group, strict=True) if g == name])
        found.append((float(own[:, [0, 2]].mean()), float(own[:, [1, 3]].mean()), members))
    found.sort(key=lambda site: (site[0], site[1]))
    return [
        Site(index, _area(longitude, latitude, areas), longitude, latitude, members)
        for index, (longitude, latitude, members) in enumerate(found, 1)
    ]


def _grown(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    west, south, east, north = bbox
    return west - NEAR / 2, south - NEAR / 2, east + NEAR / 2, north + NEAR / 2


def _area(longitude: float, latitude: float, areas: Areas) -> str:
    near = shapely.Point(longitude, latitude)
    inside = {
        float(shapely.area(shapes).sum()): name
        for name, shapes in areas.named.items()
        if shapely.dwithin(shapes, near, NEAR).any()
    }
    return inside[min(inside)].replace("-", " ").title() if inside else "Site"


class _Projection:
    """From degrees to the drawing's units."""

    def __init__(self, found: Sequence[Site]) -> None:
        self.transform = Transformer.from_crs(4326, "+proj=eqearth +lon_0=11", always_xy=True).transform
        sites = [self.transform(site.longitude, site.latitude)[0] for site in found]
        self.left = min(self.transform(WEST, 20.0)[0], *(x - 500_000 for x in sites))
        right = max(self.transform(179.0, -40.0)[0], *(x + 500_000 for x in sites))
        self.scale = WIDTH / (right - self.left)
        self.top = self.transform(0.0, NORTH)[1]
        self.height = (self.top - self.transform(0.0, SOUTH)[1]) * self.scale

    def __call__(self, longitude: float, latitude: float) -> tuple[float, float]:
        x, y = self.transform(longitude, latitude)
        return (x - self.left) * self.scale, (self.top - y) * self.scale


def _land() -> list[tuple[float, float]]:
    """(longitude, latitude) of dots on land, evenly spread over the ground."""
    dots = []
    for latitude in np.arange(NORTH, SOUTH, -DOT * 0.87):
        step = DOT / max(math.cos(math.radians(float(latitude))), 0.2)
        longitude = np.arange(-180 + step / 2, 180, step)
        dots.append(np.stack([longitude, np.full_like(longitude, latitude)], axis=1))
    places = np.concatenate(dots)
    return [(float(x), float(y)) for x, y in places[is_land(places[:, 0], places[:, 1])]]


def draw(found: Sequence[Site]) -> Markup:
    """The map; marks link to the sites' own maps."""
    project = _Projection(found)
    places = [project(*place) for place in _land()]
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places if 3 < x < WIDTH - 3)
    names = ", ".join(f"{site.number} {site.name}" for site in found)
    body = [f'<path class="land" d="{dots}"/>']
    anchors = [project(site.longitude, site.latitude) for site in found]
    taken: list[tuple[float, float]] = []
    for site, (x, y) in zip(found, anchors, strict=True):
        label = _free(x, y, [*taken, *[a for a in anchors if a != (x, y)]], project.height)
        taken.append(label)
        title = f"{site.number}. {site.name}, {site.place}: {len(site.scenes)} scenes"
        body.append(
            f'<a href="#site-{site.number}"><title>{escape(title)}</title>'
            f'<path class="leader" d="M{number(x)} {number(y)}L{number(label[0])} {number(label[1])}"/>'
            f'<circle class="pin" cx="{number(x)}" cy="{number(y)}" r="3.6"/>'
            f'<circle class="flag" cx="{number(label[0])}" cy="{number(label[1])}" r="10"/>'
            f'<text class="flag-text" x="{number(label[0])}" y="{number(label[1] + 3.8)}">'
            f"{site.number}</text></a>"
        )
    head = f'<svg class="world" viewBox="0 0 {number(WIDTH)} {number(project.height)}" role="img"'
    return Markup(f'{head} aria-label="World map with the sites {escape(names)}">{"".join(body)}</svg>')


def _free(x: float, y: float, taken: Sequence[tuple[float, float]], height: float) -> tuple[float, float]:
    """A place for a label near (x, y) that covers no other."""
    for distance in range(24, 120, 8):
        for turn in range(12):
            angle = math.radians(-60 + 30 * turn)
            place = (x + distance * math.cos(angle), y + distance * math.sin(angle))
            inside = 12 < place[0] < WIDTH - 12 and 12 < place[1] < height - 12
            if inside and all(math.hypot(place[0] - a, place[1] - b) > 23 for a, b in taken):
                return place
    return x, y - 24
