"""`earthloom score`: a file of predictions, scored."""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, get_args

import cyclopts
from rich.table import Table
from rich.text import Text

from tasks.commands.whole_tables import stdout_for
from tasks.evaluation.names import BoxForm, Protocol, Task


def score(
    file: Path,
    *,
    task: Task | None = None,
    protocol: Protocol = "honest",
    against: Path | None = None,
    json_: Annotated[bool, cyclopts.Parameter(name="--json", negative=())] = False,
    boxes: BoxForm | None = None,
    truth_boxes: BoxForm | None = None,
    bootstrap: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=0, lte=100_000))] = 1000,
    seed: int = 0,
    spice: Annotated[Path | None, cyclopts.Parameter(env_var="EARTHLOOM_SPICE")] = None,
    truth: Path | None = None,
    answer_field: str | None = None,
    truth_field: str | None = None,
) -> None:
    """Score a file of predictions: metrics from 0 to 100, with intervals, controls and what was odd about the file.

    Parameters
    ----------
    file
        JSON lines, a JSON array or one object keyed by id, csv, tsv or Parquet; packed as .gz, too.
    task
        What the questions ask for; it decides the metrics and where the truth stands. If not given, what run.json
        beside FILE says, which `earthloom evaluate` leaves.
    protocol
        honest: without the published scorer's faults; legacy: EarthDial's definitions, bug for bug.
    against
        Another file with answers to the same questions: every metric's difference, with a paired test.
    json_
        One JSON object on stdout instead of a table.
    boxes
        How boxes in brackets are written: earthdial 0 to 100 with an angle, internvl 0 to 1000, unit 0 to 1, pixels,
        coco x, y, width, height in pixels. If not given, what run.json beside FILE says; earthdial if there is none.
        Spellings that show their scale (GeoChat, Qwen-VL, Florence-2, PaliGemma, Gemini) are read as such.
    truth_boxes
        The same of the truths; as --boxes if not given.
    bootstrap
        Resamplings behind each interval; 0 for none.
    seed
        Of the resampling.
    spice
        Folder of SPICE's Java program and its parser, for captions; they are not shipped.
    truth
        File of the truths, where FILE has answers alone: joined by id. For COCO's results its annotation file.
    answer_field
        Field with what the model said, where it is not recognised; dots lead into objects: output.text.
    truth_field
        Field with the truth, likewise; of the file of --truth, if it is given.
    """
    from tasks.core.errors import PredictionsError
    from tasks.evaluation.metrics.compare import compare
    from tasks.evaluation.metrics.fields import FieldFlags
    from tasks.evaluation.metrics.predictions import read
    from tasks.evaluation.metrics.score import ScoringSettings
    from tasks.evaluation.metrics.score import score as scored

    for given in (file, against, truth):
        if given is not None and not given.is_file():
            raise PredictionsError(f"{given} is not {'a file' if given.exists() else 'there'}")
    run = _run_of(file)
    asked: Any = task or run.get("task")
    form: Any = boxes or run.get("boxes", "earthdial")
    if asked not in get_args(Task):
        raise PredictionsError(f"{file}: no run.json beside it tells its task; give --task {'|'.join(get_args(Task))}")
    if form not in get_args(BoxForm):
        raise PredictionsError(f"{file}: the run.json beside it has boxes as {form!r}; give --boxes")
    settings = ScoringSettings(protocol, form, bootstrap, seed, spice)
    fields = FieldFlags(answer_field, truth_field)
    predictions = replace(read(file, asked, fields, truth), truth_form=truth_boxes)
    scores = scored(predictions, settings)
    if against is not None:
        scores["against"] = compare(predictions, read(against, asked, fields, truth), settings)
    if json_:
        print(json.dumps(scores, allow_nan=False))  # in ASCII: whatever the terminal's encoding
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show an answer's letter shows a mark
        shown = table(scores, f"{file.name}: {asked}, {protocol}")
        stdout_for(shown).print(shown)


def _run_of(file: Path) -> dict[str, Any]:
    """The run.json beside a file of predictions, as `earthloom evaluate` leaves it; empty if there is none."""
    try:
        record = json.loads(file.with_name("run.json").read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def table(scores: dict[str, Any], title: str) -> Table:
    """The nested scores as rows of name and value; intervals beside their metric."""
    shown = Table("metric", "value", "95 % interval", title=Text(title))
    for name, value, interval in _flat(scores, ""):
        shown.add_row(Text(name), Text(value), interval)  # brackets of a name are its own, no style
    return shown


def _flat(scores: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    intervals = scores.get("ci95", {})
    for name, value in scores.items():
        if isinstance(value, dict):
            if name != "ci95":
                yield from _flat(value, f"{prefix}{name} / ")
            continue
        edges = intervals.get(name) if isinstance(intervals, dict) else None
        between = f"{edges[0]:.2f} to {edges[1]:.2f}" if edges else ""
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
        yield prefix + name, text, between
