"""Stage `qa` on labels and chips as the stages before it leave them."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
import yaml
from rasterio.transform import Affine

from tasks import qa
from tasks.core import paths, tables
from tasks.core.errors import EarthloomError, EmptyStageError, ParamsError
from tasks.core.section import load
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Pair
from tasks.dialogue.verifier import judge
from tasks.earth import chip_schema, geotiff
from tasks.earth.label_rows import COMPLETE, SCHEMA
from tasks.earth.sensors import SENSORS
from tests.fixtures import chip_facts
from tests.fixtures.small_dataset import write_params

SENSOR = "sentinel-2"


def write_labels(some: list[ChipFacts], part: str) -> None:
    """Tables of labels, in the order that the stage `labels` gives them."""
    folder = paths.labels(SENSOR, part)
    rows = [
        {"chip_id": f.chip_id, "label": label.name, "source": label.source, "kind": label.kind,
         "fraction": label.fraction,
         "count": label.count, "position": label.position, "length": label.length, "date": label.date,
         "derived": False, "boxes": [list(box) for box in label.boxes] or None, "mask": label.mask}
        for f in some
        for label in f.labels
    ]  # fmt: skip
    whole = [
        {"chip_id": f.chip_id, "source": source.name, "labels": source.looked_for and sorted(source.looked_for)}
        for f in some
        for source in f.sources.values()
        if source.complete
    ]
    order = ("chip_id", "label", "source")
    tables.write_rows(sorted(rows, key=lambda row: [row[name] for name in order]), SCHEMA, folder / "labels.parquet")
    tables.write_rows(
        sorted(whole, key=lambda row: (row["chip_id"], row["source"])), COMPLETE, folder / "complete.parquet"
    )
    known = {name: source for f in some for name, source in f.sources.items()}
    sources = {n: {"kind": s.kind, "labels": list(s.labels), "change": list(s.change)} for n, s in known.items()}
    (folder / "sources.json").write_text(json.dumps(sources))


def write_chips(some: list[ChipFacts], part: str) -> None:
    """Shards whose pixels are a green plain."""
    sensor = SENSORS[SENSOR]
    bands = sensor.required_bands
    level = [0.35 if 0.75 < sensor.band(name).wavelength < 1 else 0.1 for name in bands]
    pixels = np.broadcast_to(np.array(level, np.float32)[:, None, None], (len(bands), 64, 64))
    content = geotiff.encode(pixels, bands, Affine(10, 0, 0, 0, -10, 0), "EPSG:32633")
    rows = [
        {"chip_id": f.chip_id, "sensor": SENSOR, "platform": "sentinel-2a", "datetime": f.taken, "pixels": content,
         "transform": [10.0, 0.0, 0.0, 0.0, -10.0, 0.0], "width": 64, "height": 64, "bands": bands,
         "geometry": shapely.to_wkb(shapely.box(12.4, 52.3, 12.5, 52.4))}
        for f in reversed(some)
    ]  # fmt: skip
    folder = paths.chips(SENSOR, part)
    half = len(rows) // 2
    for number, few in enumerate((rows[:half], rows[half:])):
        tables.write_rows(few, chip_schema.SCHEMA, folder / f"shard-{number:05d}.parquet", group=chip_schema.GROUP)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Chips of two parts with their labels; one of them has none."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path, [SENSOR])
    some = list(chip_facts.chips(120))
    bare = ChipFacts("chip-99999", SENSOR, (), {}, taken=some[0].taken)
    write_labels(some[:80], "a")
    write_labels(some[80:], "b")
    write_chips([*some[:80], bare], "a")
    write_chips(some[80:], "b")
    return tmp_path


def kept(part: str = "a") -> pl.DataFrame:
    return pl.read_parquet(paths.qa(SENSOR, part) / "conversations.parquet")


def test_every_chip_is_asked_about_what_is_known_of_it_and_nothing_is_lost(dataset: Path) -> None:
    summary = qa.run(SENSOR, "a")
    assert summary["chips"] == 81 and summary["written"] == summary["pairs"] + summary["rejected"]
    assert summary["pairs"] / 81 == pytest.approx(load(qa.QAParams, "qa").pairs_of(SENSOR), abs=0.5)
    rows = kept()
    assert rows["conversation_id"].is_unique().all() and summary["conversations"] == rows.height
    assert len(summary["by_type"]) > 15 and set(rows["chip_id"]) >= {f"chip-{n:05d}" for n in range(80)}
    rejected = pl.read_parquet(paths.qa(SENSOR, "a") / "rejected.parquet")
    assert rejected.filter(pl.col("question") != "").height == summary["rejected"]
    assert not rejected["reason"].is_in(["contradicted", "leakage", "language", "schema"]).any()


def test_facts_of_pixels_and_metadata_are_read_from_the_chips(dataset: Path) -> None:
    qa.run(SENSOR, "a")
    facts = ChipFacts.from_json(kept().filter(pl.col("chip_id") == "chip-00000")["facts"][0])
    assert facts.pixels["ndvi"]["mean"] == pytest.approx(0.25 / 0.45, abs=1e-3)
    assert (facts.side, facts.country, facts.platform) == (640.0, "Germany", "sentinel-2a")
    assert set(facts.labels) == set(next(chip_facts.chips(1)).labels) and facts.latitude == pytest.approx(52.35)


def test_a_shard_re_verifies_from_its_own_rows(dataset: Path) -> None:
    qa.run(SENSOR, "b")
    for row in kept("b").iter_rows(named=True):
        turns = row["turns"]
        pairs = [Pair(t["question"], t["answer"], t["question_type"], follows=n > 0) for n, t in enumerate(turns)]
        assert {verdict.state for verdict in judge(ChipFacts.from_json(row["facts"]), pairs)} == {"supported"}


def test_the_same_inputs_give_the_same_bytes_and_no_work_is_left(dataset: Path) -> None:
    names = ("conversations.parquet", "rejected.parquet", "balance.json")
    qa.run(SENSOR, "a")
    first = [(paths.qa(SENSOR, "a") / name).read_bytes() for name in names]
    qa.run(SENSOR, "a")
    assert [(paths.qa(SENSOR, "a") / name).read_bytes() for name in names] == first
    assert not list(Path(".earthloom").rglob("*.arrow"))


def test_a_part_without_chips_has_empty_tables(dataset: Path) -> None:
    folder = paths.chips(SENSOR, "c")
    folder.mkdir(parents=True)
    write_labels([], "c")
    assert qa.run(SENSOR, "c")["pairs"] == 0 and kept("c").height == 0


def test_a_part_of_which_nothing_is_kept_ends_the_stage_with_the_reasons(dataset: Path) -> None:
    write_params(dataset, [SENSOR], qa={"min_pairs": 30})
    with pytest.raises(EmptyStageError, match=r"no pair about the 81 chips of sentinel-2 a .*reasons: few-pairs"):
        qa.run(SENSOR, "a")
    assert pl.read_parquet(paths.qa(SENSOR, "a") / "rejected.parquet").height > 300


def test_kinds_that_are_left_out_are_not_asked(dataset: Path) -> None:
    write_params(dataset, [SENSOR], qa={"kinds": ["presence", "caption"], "abstention": 0})
    assert set(qa.run(SENSOR, "a")["by_type"]) == {"presence", "caption"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kinds": ["presense"]}, "presense is no kind of question"),
        ({"kinds": ["presence", "presence"]}, "presence is no kind of question, or named twice"),
        ({"pairs_per_chip": {"landsat": 4}}, "has no number for 'sentinel-2'"),
        ({"pairs_per_chip": {"other": 0.2}}, "greater than or equal to 1"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(dataset: Path, changed: dict, message: str) -> None:
    values = qa.QAParams.model_validate({**load(qa.QAParams, "qa").model_dump(), "kinds": ["presence"]})
    assert values.kinds == ["presence"]
    text = (dataset / "params.yaml").read_text()
    params = yaml.safe_load(text)
    params["qa"] |= changed
    (dataset / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ParamsError, match=message):
        qa.run(SENSOR, "a")


def test_a_chip_whose_pixels_cannot_be_read_is_named(dataset: Path) -> None:
    path = paths.chips(SENSOR, "a") / "shard-00000.parquet"
    rows = tables.read(path).to_pylist()
    rows[3]["pixels"] = rows[3]["pixels"][:200]
    tables.write_rows(rows, chip_schema.SCHEMA, path, group=chip_schema.GROUP)
    with pytest.raises(EarthloomError, match=rows[3]["chip_id"]):
        qa.run(SENSOR, "a")
