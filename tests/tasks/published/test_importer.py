"""`earthloom import earthdial-instruct` on folders that `datasets` wrote: what comes out, and what bad ones do."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from tasks.core import tables
from tasks.earth import chip_schema as chip_table
from tasks.published.arrow_files import SourceError
from tasks.published.importer import import_all
from tasks.published.samples import samples_of, statistics_of
from tasks.vlm.chip_reader import ChipReader, read_geotiff
from tasks.vlm.images import Normalisation
from tasks.vlm.samples import SCHEMA, read_samples
from tests.conftest import ROOT

pytest.importorskip("datasets")
from tests.fixtures import earthdial_instruct as published

TEXT = published.talk("[s2_rgb_10] <image>\\n ", ("What is here?", "A lake."), ("And around?", "Forest."))
COMMAND = [sys.executable, "-m", "earthloom", "import", "earthdial-instruct"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=240, check=False
    )


def rejects(folder: Path) -> list[tuple[int, str]]:
    table = tables.read(folder / "rejects")
    return list(zip(table["row"].to_pylist(), table["reason"].to_pylist(), strict=True))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of an import but its private records, which know when the source was written."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".chunks" not in path.parts
    }


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download with a set of every kind, imported by the command."""
    source, out = tmp_path_factory.mktemp("download"), tmp_path_factory.mktemp("imported")
    published.everything(source)
    done = run(source, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def test_display_pictures_become_chips_of_the_same_bytes_with_named_bands(imported: Path) -> None:
    chips = tables.read_shards(imported / "satlas-s2/chips")
    assert chips.schema.equals(chip_table.SCHEMA)
    row = chips.slice(0, 1).to_pylist()[0]
    assert (row["sensor"], row["bands"], row["unit"]) == ("s2-rgb8", ["B04", "B03", "B02"], "dn8")
    assert (row["crs"], row["geometry"], row["datetime"]) == ("", None, None)
    pixels = read_geotiff(row["pixels"], "chip")
    shown = np.asarray(Image.open(io.BytesIO(published.picture(0))))
    assert np.array_equal(np.stack(list(pixels.values()), axis=-1), shown)


def test_conversations_keep_their_turns_and_say_what_was_repaired(imported: Path) -> None:
    rows = pl.read_parquet(imported / "satlas-s2/conversations").to_dicts()
    assert len(rows) == 3
    said = json.loads(rows[0]["conversations"])
    assert said[0] == {"from": "human", "value": "[s2_rgb_10] <image>\nWhat is here?"}
    assert [turn["from"] for turn in said] == ["human", "gpt", "human", "gpt"]
    assert rows[0]["turns"][0]["verdict"] == "as published; escaped-newline"


def test_an_object_inside_a_string_inside_json_is_opened(imported: Path) -> None:
    summary = json.loads((imported / "naip-set0/summary.json").read_text())
    assert (summary["rows"], summary["kept"]) == (3, 2)
    assert summary["repaired"]["nested-json"] == 1 and "wrapped-object" not in summary["repaired"]
    assert rejects(imported / "naip-set0") == [(2, "empty-conversation")]


@pytest.mark.parametrize(("name", "dates"), [("change-levir", 2), ("change-muds", 4)])
def test_several_dates_become_several_chips_of_one_conversation(imported: Path, name: str, dates: int) -> None:
    [row] = pl.read_parquet(imported / name / "conversations").to_dicts()
    assert row["chips"] == [f"{name}-00000-0000000-{k}" for k in range(dates)]
    assert rejects(imported / name) == [(1, "image-slots"), (2, "missing-image")]


def test_twelve_bands_become_reflectance_of_sentinel_2_and_bad_arrays_are_named(imported: Path) -> None:
    chips = tables.read_shards(imported / "bigearthnet-ms/chips").to_pylist()
    assert chips[0]["sensor"] == "sentinel-2" and len(chips[0]["bands"]) == 12
    pixels = read_geotiff(chips[0]["pixels"], "chip")
    expected = published.reflectances(0, 12, 120, 1e4) * np.float32(1e-4)
    assert np.allclose(np.stack(list(pixels.values())), expected, rtol=1e-6)
    assert rejects(imported / "bigearthnet-ms") == [(2, "wrong-bands"), (3, "constant-image"), (4, "no-data")]
    assert chips[2]["nodata_fraction"] == pytest.approx(1 / 12, abs=1e-5)


def test_the_wrong_radar_tag_of_local_climate_zones_is_corrected_and_counted(imported: Path) -> None:
    summary = json.loads((imported / "lczs-s2/summary.json").read_text())
    assert summary["repaired"]["retagged"] == summary["kept"] == 3
    first = pl.read_parquet(imported / "lczs-s2/conversations")["conversations"][0]
    assert "[s2_ms_10]" in first and "[s1_vh_10]" not in first


def test_a_grey_picture_stored_three_times_is_taken_once(imported: Path) -> None:
    chips = tables.read_shards(imported / "ship-dataset-v0-refer/chips").to_pylist()
    assert [chip["bands"] for chip in chips] == [["AMP"], ["AMP"]]
    summary = json.loads((imported / "ship-dataset-v0-refer/summary.json").read_text())
    assert summary["repaired"] == {"grey-as-rgb": 1} and summary["flagged"] == {"box-out-of-range": 1}


def test_planes_of_two_columns_become_one_image(imported: Path) -> None:
    [chip] = tables.read_shards(imported / "starcop-train/chips").to_pylist()
    assert chip["bands"] == ["R", "G", "B", "MAG1C"]
    assert rejects(imported / "starcop-train") == [(1, "size-mismatch")]


def test_radar_power_with_channels_last_becomes_decibel(imported: Path) -> None:
    chips = tables.read_shards(imported / "quakeset/chips").to_pylist()
    assert [(chip["bands"], chip["unit"], chip["width"]) for chip in chips] == [(["VV", "VH"], "dB", 512)] * 2
    pixels = read_geotiff(chips[0]["pixels"], "chip")
    assert -15 < np.median(pixels["VV"]) < -5 and np.median(pixels["VH"]) < np.median(pixels["VV"])


def test_a_value_beyond_eight_bits_is_refused(imported: Path) -> None:
    assert rejects(imported / "treesatai") == [(1, "out-of-range")]


def test_a_list_of_references_stored_as_text_is_opened(imported: Path) -> None:
    rows = pl.read_parquet(imported / "sysu/conversations").to_dicts()
    assert [row["turns"][0]["answer"] for row in rows] == ["A road was built.", "A pond was dug."]
    assert json.loads(rows[1]["turns"][0]["claim"])["references"] == ["A pond was dug.", "There is a new pond."]


def test_statistics_are_those_of_all_imported_pixels(imported: Path) -> None:
    chips = tables.read_shards(imported / "satlas-s2/chips")["pixels"].to_pylist()
    red = np.concatenate([read_geotiff(chip, "chip")["B04"].ravel() for chip in chips])
    statistics = json.loads(statistics_of(imported / "satlas-s2").read_text())
    band = statistics["bands"][0]
    assert (band["name"], band["count"]) == ("B04", red.size)
    assert (band["mean"], band["std"]) == pytest.approx((red.mean(), red.std()), rel=1e-5)
    assert [b["name"] for b in json.loads(statistics_of(imported / "quakeset").read_text())["bands"]] == [
        "VV",
        "VH",
        "VV-VH",
    ]


def test_a_mixture_gets_the_images_of_each_sample_in_order_and_true_colour_first(imported: Path) -> None:
    [muds] = samples_of(imported / "change-muds")
    assert [image["chip_id"][-1] for image in muds["images"]] == ["0", "1", "2", "3"]
    assert muds["conversations"].count("<image>") == 4 and muds["question_types"] == ["changedet"]
    first = next(samples_of(imported / "bigearthnet-ms"))
    assert first["images"][0]["bands"][:4] == ["B04", "B03", "B02", "B01"] and first["modality"] == "ms"
    assert Path(first["images"][0]["shard"]).is_file()


def test_every_imported_set_can_be_read_as_training_reads_it(imported: Path, tmp_path: Path) -> None:
    folders = sorted(path.parent for path in imported.glob("*/summary.json"))
    assert len(folders) == 12
    for folder in folders:
        rows = [{**row, "repeats": 1} for row in samples_of(folder)]
        tables.write_rows(rows, SCHEMA, tmp_path / f"{folder.name}.parquet")
        samples = read_samples(tmp_path / f"{folder.name}.parquet")
        normalise = Normalisation.from_stats({samples[0].sensor: statistics_of(folder)})
        reader = ChipReader(normalise, size=32, max_tiles=4)
        for sample in samples:
            images = reader.images(sample)
            assert [image.count for image in images] == sample.tile_counts(32, 4)
            shown = torch.cat([image.pixels[image.mask] for image in images])
            assert torch.isfinite(shown).all() and shown.std() < 3
            assert "".join(question for question, _ in sample.turns).count("<image>") == len(images)


def test_the_same_command_again_makes_nothing_and_changes_nothing(tmp_path: Path) -> None:
    published.satlas(tmp_path / "in", [TEXT, "[]", TEXT, TEXT], shards=2)
    [first] = import_all(tmp_path / "in", tmp_path / "out", jobs=2)
    before = contents(tmp_path / "out")
    [second] = import_all(tmp_path / "in", tmp_path / "out")
    assert (first.made, second.made) == (4, 0) and second.counts == first.counts
    import_all(tmp_path / "in", tmp_path / "other")
    assert contents(tmp_path / "out") == before == contents(tmp_path / "other")


def test_strict_refuses_what_would_be_repaired(tmp_path: Path) -> None:
    published.satlas(tmp_path / "in", [TEXT, TEXT.replace("\\\\n", "")])
    [outcome] = import_all(tmp_path / "in", tmp_path / "out", strict=True)
    assert outcome.counts.kept == 1 and outcome.counts.rejected == {"escaped-newline": 1}


def test_bytes_that_are_no_picture_are_refused_and_a_pickle_is_never_opened(tmp_path: Path) -> None:
    marker = tmp_path / "opened"

    class Opens:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(marker),)

    whole = published.picture(0)
    broken = [pickle.dumps(Opens()), whole[: len(whole) // 2], b"", published.picture(0, bands=1)]
    # A plain struct: for an Image, `datasets` would look for the file that the last row names.
    cell = {"bytes": published.datasets.Value("binary"), "path": published.TEXT}
    features = {"png": cell, "conversations_internlm": published.TEXT}
    rows = [{"png": {"bytes": content, "path": None}, "conversations_internlm": TEXT} for content in broken]
    rows.append({"png": {"bytes": None, "path": "/images/1.png"}, "conversations_internlm": TEXT})
    published.save(tmp_path / "in/Satlas_S2", rows, features)
    import_all(tmp_path / "in", tmp_path / "out")
    reasons = [reason for _, reason in rejects(tmp_path / "out/satlas-s2")]
    assert reasons == ["undecodable", "undecodable", "undecodable", "wrong-bands", "missing-image"]
    assert not marker.exists()


def test_a_file_cut_short_is_named_the_others_are_imported_and_the_exit_says_so(tmp_path: Path) -> None:
    source = published.satlas(tmp_path / "in", [TEXT] * 6, shards=3)
    torn = source / "data-00001-of-00003.arrow"
    torn.write_bytes(torn.read_bytes()[:-2000])
    (source / "data-00002-of-00003.arrow").unlink()
    done = run(tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "Satlas_S2/data-00001-of-00003.arrow is cut short" in done.stderr
    assert "Satlas_S2/data-00002-of-00003.arrow is missing" in done.stderr
    summary = json.loads((tmp_path / "out/satlas-s2/summary.json").read_text())
    assert summary["kept"] == 2 and set(summary["unreadable"]) == {torn.name, "data-00002-of-00003.arrow"}


def test_a_missing_file_is_known_from_the_names_when_the_list_is_missing_too(tmp_path: Path) -> None:
    source = published.satlas(tmp_path / "in", [TEXT] * 4, shards=2)
    (source / "state.json").unlink()
    (source / "data-00000-of-00002.arrow").unlink()
    [outcome] = import_all(tmp_path / "in", tmp_path / "out")
    assert outcome.counts.kept == 2 and list(outcome.unreadable) == ["data-00000-of-00002.arrow"]


def test_garbage_that_ends_like_a_stream_is_named_damaged(tmp_path: Path) -> None:
    source = published.satlas(tmp_path / "in", [TEXT] * 2)
    file = source / "data-00000-of-00001.arrow"
    file.write_bytes(b"no arrow at all" + file.read_bytes()[-8:])
    [outcome] = import_all(tmp_path / "in", tmp_path / "out")
    assert "is damaged" in outcome.unreadable[file.name]


def test_a_folder_of_no_known_name_is_named_and_can_be_told_what_it_is(tmp_path: Path) -> None:
    published.satlas(tmp_path / "in", [TEXT], name="my_lakes")
    [unknown] = import_all(tmp_path / "in", tmp_path / "out")
    assert "--dataset my_lakes=ENTRY" in unknown.unreadable[""]
    [outcome] = import_all(tmp_path / "in", tmp_path / "out", ["my_lakes=satlas-s2"])
    assert outcome.counts.kept == 1 and not outcome.unreadable
    with pytest.raises(SourceError, match="'satlas' is no entry"):
        import_all(tmp_path / "in", tmp_path / "out", ["my_lakes=satlas"])
    with pytest.raises(SourceError, match="there is no data set 'lakes'; there are: my_lakes"):
        import_all(tmp_path / "in", tmp_path / "out", ["lakes"])


def test_a_set_without_its_columns_is_named_with_those_it_has(tmp_path: Path) -> None:
    features = {"picture": published.datasets.Image(), "conversations": published.TEXT}
    published.save(tmp_path / "in/Satlas_S2", [{"picture": published.image(0), "conversations": TEXT}], features)
    [outcome] = import_all(tmp_path / "in", tmp_path / "out")
    [reason] = outcome.unreadable.values()
    assert "has no image column" in reason and "found picture, conversations" in reason


def test_an_empty_place_is_an_error_that_says_what_was_looked_for(tmp_path: Path) -> None:
    done = run(tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 1 and "save_to_disk" in done.stderr and "Traceback" not in done.stderr


def test_a_split_of_a_dictionary_of_sets_is_told_apart(tmp_path: Path) -> None:
    made = published.satlas(tmp_path / "one", [TEXT])
    (tmp_path / "in/Satlas_S2").mkdir(parents=True)
    made.rename(tmp_path / "in/Satlas_S2/train")
    (tmp_path / "in/Satlas_S2/dataset_dict.json").write_text('{"splits": ["train"]}')
    [outcome] = import_all(tmp_path / "in", tmp_path / "out")
    assert outcome.name == "Satlas_S2-train" and outcome.counts.kept == 1


@pytest.mark.slow
def test_an_import_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    published.satlas(tmp_path / "in", [TEXT] * 160, shards=16, side=512)
    import_all(tmp_path / "in", tmp_path / "whole")
    process = subprocess.Popen(
        [*COMMAND, str(tmp_path / "in"), "--out", str(tmp_path / "torn")], env=ENVIRONMENT, stderr=subprocess.DEVNULL
    )
    records = tmp_path / "torn/satlas-s2/.chunks"
    deadline = time.monotonic() + 60
    while len(list(records.glob("[0-9]*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = len(list(records.glob("[0-9]*.json")))
    assert 2 <= kept < 16
    [outcome] = import_all(tmp_path / "in", tmp_path / "torn")
    assert outcome.made == (16 - kept) * 10
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")
