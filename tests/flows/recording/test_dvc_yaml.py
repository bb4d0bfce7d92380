"""dvc.lock is read and written sooner than by DVC, and the same."""

from pathlib import Path

import pytest
from dvc.utils.serialize import dumps_yaml, parse_yaml

from flows.recording import dvc_yaml

ROOT = Path(__file__).resolve().parents[3]

LOCK = (ROOT / "dvc.lock").read_text(encoding="utf-8")


def test_a_lock_is_read_as_by_dvc_with_its_order() -> None:
    assert repr(dvc_yaml.lock_values(LOCK)) == repr(parse_yaml(LOCK, "dvc.lock"))


def test_every_entry_is_written_in_the_bytes_of_dvc() -> None:
    for address, entry in parse_yaml(LOCK, "dvc.lock")["stages"].items():
        text = dumps_yaml({"stages": {address: entry}}).removeprefix("stages:\n")
        assert dvc_yaml.entry_text(address, entry) == text


def test_numbers_and_words_are_those_of_yaml_1_2() -> None:
    values = {"a": {"params": {"params.yaml": {"rate": 1e-05, "word": "on", "text": "1e-05", "flag": True, "n": 10}}}}
    text = dvc_yaml.SCHEMA + "stages:\n" + dvc_yaml.entry_text("a", values["a"])
    found = dvc_yaml.lock_values(text)
    assert found is not None and found["stages"] == values


def test_equal_values_of_another_kind_are_written_apart() -> None:
    texts = {dvc_yaml.entry_text("a", {"params": {"params.yaml": {"x": value}}}) for value in (1, 1.0, True, "1")}
    assert len(texts) == 4


@pytest.mark.parametrize(
    "entry",
    [
        "    params: &p\n      x: 1\n",
        "    cmd: a\n    cmd: b\n",
        "    cmd: a\n    more: b\n",
        "    params:\n      x: 'no end\n",
    ],
)
def test_what_dvc_does_not_write_is_left_to_its_parser(entry: str) -> None:
    assert dvc_yaml.lock_values(dvc_yaml.SCHEMA + "stages:\n  a:\n" + entry) is None


def test_a_parameter_is_found_by_its_dots_and_by_wildcards() -> None:
    values = {"chips": {"size": 64, "bands": []}, "runs": {"1": "one"}}
    assert dvc_yaml.at(values, "chips.size") == 64
    assert dvc_yaml.at(values, "chips.bands") == []
    assert dvc_yaml.at(values, "runs.1") == "one"
    assert dvc_yaml.at(values, "ch*.size") == 64
    with pytest.raises(KeyError):
        dvc_yaml.at(values, "chips.stride")
