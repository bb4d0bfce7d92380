import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tasks.core.errors import VectorFileError
from tasks.earth import label_skyscript
from tasks.earth.label_features import FeatureSource
from tasks.earth.label_params import SourceParams
from tasks.earth.label_sources import box_around, windows_of
from tests.fixtures.label_files import block, frame, lonlat

PARAMS = SourceParams(kind="skyscript", path="inputs/labels/skyscript")


def metadata(x: float, y: float, side: float) -> dict[str, Any]:
    west, south = lonlat(x, y)
    east, north = lonlat(x + side, y + side)
    return {
        "box": (west, south, east, north),
        "time": (2019, 6, 30, 10, 0),
        "center_tags": {"building": "barn"},
        "surrounding_tags": [{"landuse": "farmland", "name": "x"}, {"highway": "track"}],
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tags_of_a_picture_label_the_window_that_holds_it(tmp_path: Path, protocol) -> None:
    path = tmp_path / "a1_CH_19.pickle"
    path.write_bytes(pickle.dumps(metadata(100, 100, 300), protocol))
    sheets, _ = label_skyscript.sheets([path], PARAMS, None)
    some, ids = block(2)
    box = box_around(windows_of(frame(some, ids)))
    found = FeatureSource("sky", "skyscript", [], False, "ODbL-1.0", sheets, box).measure(some, ids, 20, 0.01)
    assert [(row["chip_id"], row["label"], row["kind"]) for row in found.rows] == [
        (ids[0], label, "tag") for label in ("building", "farmland", "track")
    ]
    assert {row["date"] for row in found.rows} == {"2019-06-30"}
    assert found.complete == [], "what the tags do not name may still be there"


class _Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


HOSTILE = {
    "a call": pickle.dumps({"box": _Runs()}),
    "a class": pickle.dumps(Path),
    "an array": pickle.dumps({"box": np.zeros(4)}),
    "a text protocol's call": b"cos\nsystem\n(S'touch ran'\ntR.",
    "memory": b"\x80\x02]r\xff\xff\xff\x7f.",
    "cut": pickle.dumps({"box": [1.0] * 50})[:40],
    "nothing": b"",
    "a list": pickle.dumps([1, 2]),
    "no box": pickle.dumps({"box": (1, 2)}),
    "nan": pickle.dumps({"box": (float("nan"),) * 4}),
    "large": pickle.dumps("x" * 2_000_000),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_pickle_of_more_than_plain_values_is_refused_and_nothing_runs(tmp_path: Path, monkeypatch, case) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pickle"
    path.write_bytes(HOSTILE[case])
    with pytest.raises(VectorFileError, match=r"x\.pickle"):
        label_skyscript.sheets([path], PARAMS, None)
    assert not (tmp_path / "ran").exists()
