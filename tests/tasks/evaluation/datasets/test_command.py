import json

import pytest

from tasks.commands.bench import app
from tests.tasks.evaluation.datasets.files import picture


def run(*words):
    app([str(word) for word in words], result_action="return_none")


@pytest.fixture
def aid(tmp_path):
    root = tmp_path / "benchmarks"
    for label in ("Airport", "Viaduct"):
        picture(root / f"aid/AID/{label}/{label}_1.jpg")
    return root


def rows(capsys):
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_list_tells_machines_what_is_imported_what_is_here_and_what_is_missing(aid, capsys):
    run("list", "--root", aid, "--json")
    before = rows(capsys)
    assert before["aid"]["state"] == "files" and before["aid"]["source"] == "owner"
    assert before["ucm"]["state"] == "missing" and before["ucm"]["dataset"]["homepage"].startswith("http")
    run("import", "aid", aid / "aid", "--out", aid / "imported/aid")
    run("list", "--root", aid, "--json")
    after = rows(capsys)["aid"]
    assert (after["state"], after["imported_samples"], after["comparable"]) == ("imported", 2, False)


def test_list_shows_people_every_benchmark_once(aid, capsys):
    run("list", "--root", aid)
    shown = capsys.readouterr().out
    assert shown.count("geobench-vlm-single") == 1 and "67 benchmarks over 39 data sets" in " ".join(shown.split())


def test_list_tells_people_whose_published_figure_stands_beside_a_benchmark(aid, capsys):
    run("list", "--root", aid)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("rsieval-captions") and "158.36 RS-MoE-7B" in line for line in lines)
    assert any(line.startswith("aid ") and "88.76 EarthDial" in line for line in lines)


def test_show_says_how_to_get_the_files_and_where_figures_come_from(aid, capsys):
    run("show", "starcop", "--root", aid)
    shown = " ".join(capsys.readouterr().out.split())
    assert "zenodo" in shown and "unknown" in shown and "73.10" in shown


def test_import_says_what_was_left_out_and_that_scores_do_not_compare(aid, tmp_path, capsys):
    (aid / "aid/AID/Airport/Airport_2.jpg").write_bytes(b"")
    run("import", "aid", aid / "aid", "--out", tmp_path / "out")
    message = " ".join(capsys.readouterr().err.split())
    assert "Left out: 1 unreadable_image" in message and "do not stand side by side" in message and "3,000" in message
