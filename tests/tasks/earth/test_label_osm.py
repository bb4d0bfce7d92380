from pathlib import Path
from typing import Any

import osmium
import pytest
from osmium.osm import mutable

from tasks.core.errors import VectorFileError
from tasks.earth import label_osm
from tasks.earth.label_features import FeatureSource
from tasks.earth.label_params import SourceParams
from tasks.earth.label_sources import box_around, windows_of
from tests.fixtures.label_files import SIZE, block, frame, lonlat

PARAMS = SourceParams(kind="osm", path="inputs/labels/x.osm.pbf", rename={"water": "lake"})


class Extract:
    """An extract in the making: nodes by their metres from the block's corner, ways and relations of them."""

    def __init__(self, path: Path) -> None:
        self.path, self.next = path, 1
        self.nodes: list[Any] = []
        self.ways: list[Any] = []
        self.relations: list[Any] = []

    def node(self, x: float, y: float, written: bool = True, **tags: str) -> int:
        number, self.next = self.next, self.next + 1
        if written:
            self.nodes.append(mutable.Node(id=number, location=lonlat(x, y), tags=_keys(tags), version=1))
        return number

    def way(self, nodes: list[int], **tags: str) -> int:
        number, self.next = self.next, self.next + 1
        self.ways.append(mutable.Way(id=number, nodes=nodes, tags=_keys(tags), version=1))
        return number

    def ring(self, x: float, y: float, side: float, **tags: str) -> int:
        corners = [self.node(x + dx * side, y + dy * side) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]
        return self.way([*corners, corners[0]], **tags)

    def relation(self, members: list[tuple[str, int, str]], **tags: str) -> None:
        number, self.next = self.next, self.next + 1
        self.relations.append(mutable.Relation(id=number, members=members, tags=_keys(tags), version=1))

    def save(self) -> Path:
        with osmium.SimpleWriter(str(self.path)) as writer:
            for node in self.nodes:
                writer.add_node(node)
            for way in self.ways:
                writer.add_way(way)
            for relation in self.relations:
                writer.add_relation(relation)
        return self.path


def _keys(tags: dict[str, str]) -> dict[str, str]:
    return {key.replace("__", ":"): value for key, value in tags.items()}


def measured(path: Path) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    lost: dict[str, int] = {}
    some, ids = block(1)
    sheet = label_osm.sheet(path, PARAMS, None, lost)
    source = FeatureSource("osm", "osm", [], False, "ODbL-1.0", [sheet], box_around(windows_of(frame(some, ids))))
    return {row["label"]: row for row in source.measure(some, ids, 20, 0.01).rows}, lost


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    return Extract(tmp_path / "town.osm.pbf")


def test_areas_lines_and_nodes_become_labels_by_their_tags(extract: Extract) -> None:
    extract.ring(0, 0, 320, landuse="residential", name="Somewhere")
    extract.way([extract.node(0, 400), extract.node(SIZE, 400)], highway="primary")
    extract.node(100, 100, power="generator", generator__source="wind")
    extract.ring(400, 100, 30, building="no")
    rows, lost = measured(extract.save())
    assert set(rows) == {"residential area", "primary road", "wind turbine"}
    assert rows["residential area"]["fraction"] == pytest.approx(0.25, abs=1e-4)
    assert rows["primary road"]["length"] == pytest.approx(SIZE, abs=1)
    assert (rows["wind turbine"]["kind"], rows["wind turbine"]["count"]) == ("point", 1)
    assert not lost


def test_a_multipolygon_has_its_hole_and_an_untagged_outer_way_its_label(extract: Extract) -> None:
    outer, inner = extract.ring(0, 0, 640), extract.ring(160, 160, 320)
    extract.relation([("w", outer, "outer"), ("w", inner, "inner")], type="multipolygon", natural="water")
    rows, _ = measured(extract.save())
    assert rows["lake"]["fraction"] == pytest.approx(0.75, abs=1e-4), "and the label is renamed"


def test_an_outer_ring_of_two_ways_is_joined(extract: Extract) -> None:
    a, b, c, d = (extract.node(x, y) for x, y in ((0, 0), (640, 0), (640, 320), (0, 320)))
    halves = [extract.way([a, b, c]), extract.way([c, d, a])]
    extract.relation([("w", way, "outer") for way in halves], type="multipolygon", landuse="forest")
    assert measured(extract.save())[0]["forest"]["fraction"] == pytest.approx(0.5, abs=1e-4)


def test_what_reaches_beyond_the_extract_is_counted_not_drawn_wrong(extract: Extract) -> None:
    inside = [extract.node(x, y) for x, y in ((0, 0), (640, 0))]
    outside = [extract.node(x, y, written=False) for x, y in ((640, 9000), (0, 9000))]
    extract.way([*inside, *outside], highway="primary")
    extract.node(10, 10, amenity="fuel")
    rows, lost = measured(extract.save())
    assert set(rows) == {"gas station"}
    assert lost == {"incomplete": 1}


def test_a_building_of_any_value_is_one_and_about_a_hundred_labels_are_known() -> None:
    assert label_osm.classes_of({"building": "garage"}) == {"building"}
    labels = {label for kinds in label_osm.table().values() for some in kinds.values() for label in some}
    assert len(labels) > 100


@pytest.mark.parametrize("content", [b"", b"<osm version='0.6'></osm>", b"\0\0\0\x0d\x0a\x09OSMHeader" + b"\xff" * 50])
def test_what_is_no_extract_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.osm.pbf"
    path.write_bytes(content)
    with pytest.raises(VectorFileError, match=r"no\.osm\.pbf"):
        measured(path)
