"""The review page: a real server on loopback, a real browser where there is one, and the build that honours it."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn

from tasks.core import tables
from tasks.dialogue import conversations
from tasks.dialogue.decisions import Decision, Decisions, DecisionsError
from tasks.dialogue.ledger import Policy
from tasks.dialogue.pairs import SUPPORTED, Judged, Pair, Provenance, Verdict, Written
from tasks.dialogue.verifier import judge
from tasks.dialogue.write_pairs import PairWriter
from tasks.earth import chip_schema, geotiff
from tasks.review.app import make_app
from tasks.review.session import Session, choose, score
from tests.tasks.dialogue.verifier.test_judging import chip

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAIRS = [
    Pair("Is there any cropland in this image?", "yes", "presence"),
    Pair("Locate the largest meadow.", "[[800, 0, 1000, 300]]", "referring"),
    Pair("How much of this image is tree cover?", "About 60 %.", "share"),
]


class Writes:
    """A generator that writes the pairs above about a chip."""

    provenance = Provenance("template")

    def generate(self, chips, judge):
        for facts in chips:
            verdicts = judge(facts, PAIRS)
            yield Written(facts.chip_id, tuple(Judged(p, v) for p, v in zip(PAIRS, verdicts, strict=True)))


def built(decisions: Decisions | None = None) -> tuple[list[dict], list[dict], dict]:
    kept, lost = [], []
    writer = PairWriter(Writes.provenance, Policy(1, 1, 9, 1.0), kept.append, lost.append, decisions)
    counts = writer.run(Writes(), [chip()], judge)
    return kept, lost, counts.summary()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    folder = tmp_path / "qa/sentinel-2/a"
    tables.write_rows(built()[0], conversations.SCHEMA, folder / "conversations.parquet")
    pixels = np.random.default_rng(0).uniform(0.02, 0.4, (4, 64, 64)).astype(np.float32)
    bands = ["B02", "B03", "B04", "B08"]
    tiff = geotiff.encode(pixels, bands, geotiff_transform(), "EPSG:32633")
    row = {"chip_id": "chip", "bands": bands, "sensor": "sentinel-2", "pixels": tiff}
    tables.write_rows([row], chip_schema.SCHEMA, tmp_path / "chips/sentinel-2/a/shard-00000.parquet")
    return Session(choose([tmp_path / "qa"], 10, 0, False), Decisions(tmp_path / "decisions.jsonl"), tmp_path / "chips")


def geotiff_transform():
    from rasterio.transform import Affine

    return Affine(10, 0, 399960, 0, -10, 5800000)


@pytest.fixture
def url(session: Session) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(session), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_pairs_are_decided_by_keyboard_and_the_decisions_are_in_the_file(url: str, session: Session) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        with page.expect_response("**/pictures/0.png") as picture:
            page.goto(url)
        assert picture.value.ok
        page.wait_for_selector("#progress:has-text('Pair 1 of 3')")
        asked = []
        for number, key in enumerate(("a", "r", "c"), 1):
            asked.append(page.locator("#question").inner_text())
            page.keyboard.press(key)
            if key == "c":
                page.locator("#right").fill("About two thirds.")
                page.keyboard.press("Enter")
            page.wait_for_selector(f"#progress:has-text('{number} decided')")
        page.locator("h2", has_text="Verifier and people").wait_for()
        assert page.locator("#counts").inner_text().split() == ["supported", "1", "1", "1"]
        browser.close()
    assert not failures
    found = {decision.question: decision for decision in Decisions(session.decisions.path)}
    assert [found[question].decision for question in asked] == ["accept", "reject", "correct"]
    assert found[asked[2]].correction == "About two thirds."


def test_what_is_drawn_as_evidence_are_the_boxes_and_masks_of_the_labels_that_decided(session: Session) -> None:
    shown = {pair["question_type"]: pair for pair in map(session.pair, range(len(session.pairs)))}
    assert shown["referring"]["evidence"][0]["name"] == "meadow"
    meadow = next(label for label in shown["referring"]["labels"] if label["name"] == "meadow")
    assert meadow["boxes"][0] == (0.8, 0.0, 1.0, 0.3) and meadow["mask"]
    assert session.picture(0).startswith(b"\x89PNG")


def test_a_decision_is_taken_from_the_page_alone_and_only_if_it_is_one(url: str, session: Session) -> None:
    post = lambda **more: httpx.post(f"{url}/decisions", **more)  # noqa: E731
    body = {"number": 0, "decision": "accept"}
    assert post(data=body).status_code == 415  # a form of another site
    assert post(json=body, headers={"host": "evil.example"}).status_code == 421
    assert post(json={**body, "number": 99}).status_code == 404
    assert post(json={**body, "decision": "burn"}).status_code == 400
    assert post(json={**body, "decision": "correct"}).json() == {"error": "write the right answer first"}
    assert post(content=b"x" * 100_000, headers={"content-type": "application/json"}).status_code == 413
    assert httpx.get(f"{url}/pictures/99.png").status_code == 404
    assert len(session.decisions) == 0
    assert post(json=body).status_code == 200 and len(session.decisions) == 1


def test_the_next_build_honours_what_people_decided(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path / "decisions.jsonl")
    one, two, three = PAIRS
    decisions.add(Decision("chip", one.question, one.answer, "reject", verdict=SUPPORTED))
    decisions.add(Decision("chip", three.question, three.answer, "correct", "About two thirds.", SUPPORTED))
    decisions.add(Decision("another", two.question, two.answer, "reject"))
    kept, lost, summary = built(Decisions(decisions.path))
    turns = {row["turns"][0]["question"]: row["turns"][0] for row in kept}
    assert one.question not in turns and [row["reason"] for row in lost] == ["person"]
    assert turns[three.question]["answer"] == "About two thirds." and turns[three.question]["verdict"] == "accepted"
    assert turns[two.question]["verdict"] == SUPPORTED and summary["decided"] == 2
    assert json.loads(kept[0]["conversations"])[1]["value"] in (two.answer, "About two thirds.")


def test_a_person_may_keep_what_the_verifier_did_not_believe(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path / "decisions.jsonl")
    decisions.add(Decision("chip", PAIRS[0].question, PAIRS[0].answer, "accept"))
    writer_rows: list[dict] = []
    writer = PairWriter(Writes.provenance, Policy(1, 1, 9, 1.0), writer_rows.append, lambda row: None, decisions)
    writer.run(Writes(), [chip()], lambda facts, pairs: [Verdict("contradicted", "no")] * len(pairs))
    assert [row["turns"][0]["verdict"] for row in writer_rows] == ["accepted"]


def test_the_verifier_is_measured_against_people(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path / "decisions.jsonl")
    first = Decision("chip", "q", "a", "accept", verdict=SUPPORTED)
    decisions.add(first)
    decisions.add(replace(first, decision="reject"))  # thought better of
    decisions.add(replace(first, chip_id="b", verdict="not checkable"))
    assert score(decisions) == {"not checkable": {"accept": 1}, "supported": {"reject": 1}}


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"decision": "accept"}', '{"chip_id": "", "question": "", "answer": "", "decision": "burn"}']
)
def test_a_line_that_is_no_decision_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "decisions.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(DecisionsError, match="line 2"):
        Decisions(path)
