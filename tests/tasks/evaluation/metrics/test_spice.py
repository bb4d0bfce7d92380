"""The calling of SPICE's program, on a stand-in of the same command line: the true one cannot be shipped."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tasks.core.errors import MissingInputError, SpiceError
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tasks.evaluation.metrics.spice import JAR, NEW, PARSER, spice
from tests.conftest import ROOT

needs_java = pytest.mark.skipif(
    not (shutil.which("java") and shutil.which("javac")), reason="no Java to build and run the stand-in with"
)
PROGRAM = """
import java.nio.file.*;
import java.util.regex.*;

/** Scores a caption 1 if it is its first reference, else 0.25; some captions make it misbehave. */
public class StandIn {
    public static void main(String[] args) throws Exception {
        String given = new String(Files.readAllBytes(Paths.get(args[0])), "UTF-8");
        if (!args[1].equals("-out")) throw new IllegalArgumentException(args[1]);
        if (given.contains("fall over")) throw new NoClassDefFoundError("edu/stanford/nlp/pipeline/Annotation");
        if (given.contains("fall asleep")) Thread.sleep(60000);
        String row = "\\\\{\\"image_id\\": (\\\\d+), \\"test\\": \\"([^\\"]*)\\", \\"refs\\": \\\\[\\"([^\\"]*)\\"";
        Matcher rows = Pattern.compile(row).matcher(given);
        StringBuilder out = new StringBuilder("[");
        while (rows.find()) {
            String f = rows.group(2).equals(rows.group(3)) ? "1.0" : given.contains("lie") ? "NaN" : "0.25";
            out.append(out.length() > 1 ? "," : "").append("{\\"image_id\\": " + rows.group(1)
                + ", \\"scores\\": {\\"All\\": {\\"pr\\": 1.0, \\"re\\": 1.0, \\"f\\": " + f + "}}}");
        }
        if (given.contains("lose one")) out.setLength(out.lastIndexOf(",{"));
        System.out.println(String.format("All tuples\\n  f-score:\\t%.3f (SPICE metric)", 0.625));
        if (given.contains("modern")) throw new NullPointerException("\\"scriptEngine\\" is null");
        Files.write(Paths.get(args[2]), (out + "]").getBytes("UTF-8"));
    }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a program and its parser's empty jars."""
    made = tmp_path_factory.mktemp("spice")
    (made / "StandIn.java").write_text(PROGRAM)
    subprocess.run(["javac", "-d", str(made / "classes"), str(made / "StandIn.java")], check=True, timeout=120)
    with zipfile.ZipFile(made / JAR, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: StandIn\n")
        jar.write(made / "classes/StandIn.class", "StandIn.class")
    (made / "lib").mkdir()
    for name in PARSER:
        (made / name).touch()
    return made


def _file(tmp_path: Path, *rows: dict) -> Path:
    path = tmp_path / "captions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _row(answer: str, *references: str) -> dict:
    return {"answer": answer, **{f"caption{number}": text for number, text in enumerate(references)}}


@needs_java
def test_each_answer_is_scored_and_one_without_words_is_worth_nothing(folder: Path) -> None:
    result = spice(folder, ["a road", "a tree", "…", "a café"], [["a road"], ["", "a road"], ["a road"], ["a café"]])
    assert result.rows is not None
    assert result.rows.tolist() == [1, 0.25, 0, 1]
    assert result.mean == 2.25 / 4


@needs_java
def test_the_score_of_captions_stands_with_its_interval_beside_the_published_ones(folder: Path, tmp_path: Path) -> None:
    path = _file(tmp_path, _row("a road", "a road", "a street"), _row("a tree", "a road", ""))
    scores = score_file(path, "captioning", ScoringSettings(draws=50, spice=folder))["as_published"]
    assert scores["spice"] == 62.5
    assert 25 <= scores["ci95"]["spice"][0] <= 62.5 <= scores["ci95"]["spice"][1] <= 100
    assert "spice_not_measured" not in scores


def test_its_absence_is_reported(tmp_path: Path) -> None:
    path = _file(tmp_path, _row("a road", "a road", "a street"), _row("a tree", "a road", ""))
    scores = score_file(path, "captioning", ScoringSettings(draws=0))["as_published"]
    assert "spice" not in scores and "--spice" in scores["spice_not_measured"]


@needs_java
def test_a_java_that_cannot_write_the_table_still_tells_the_mean(folder: Path, tmp_path: Path) -> None:
    path = _file(tmp_path, _row("a modern road", "a modern road", ""), _row("", "a road", ""))
    scores = score_file(path, "captioning", ScoringSettings(draws=50, spice=folder))["as_published"]
    assert scores["spice"] == 62.5 / 2
    assert scores["spice_without_interval"] == NEW


@needs_java
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("fall over", "without a score: .*NoClassDefFoundError: edu/stanford"),
        ("lose one", "no score for each answer"),
        ("lie", "not within 0 and 1"),
        ("fall asleep", "stopped after 2 s"),
    ],
)
def test_a_program_that_fails_or_lies_or_sleeps_is_told(folder: Path, answer: str, said: str) -> None:
    with pytest.raises(SpiceError, match=said):
        spice(folder, ["a road", answer], [["a road"], ["a tree"]], seconds=2 if answer == "fall asleep" else 60)


def test_a_folder_without_the_parser_is_refused_with_what_lacks(tmp_path: Path) -> None:
    (tmp_path / JAR).touch()
    with pytest.raises(MissingInputError, match=r"needs lib/stanford-corenlp-3.6.0.jar, .*-models.jar in"):
        spice(tmp_path, ["a road"], [["a road"]])


def test_a_machine_without_java_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    for name in (JAR, *PARSER):
        (tmp_path / name).touch()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingInputError, match="SPICE needs Java, which is not in"):
        spice(tmp_path, ["a road"], [["a road"]])


@needs_java
def test_the_command_takes_the_folder_from_the_environment(folder: Path, tmp_path: Path) -> None:
    path = _file(tmp_path, _row("a road", "a road", "a street"))
    command = [sys.executable, "-m", "earthloom", "score", str(path), "--task", "captioning", "--json"]
    environment = {**os.environ, "EARTHLOOM_SPICE": str(folder)}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(finished.stdout)["as_published"]["spice"] == 100
