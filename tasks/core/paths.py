"""Where every artifact lies. One function a path, from stage, sensor and part; dvc.yaml agrees by test."""

from pathlib import Path

DATA = Path("data")
WORK = Path(".earthloom/work")
"""Partial results of a stage that was killed. Outside DVC's outputs, which are removed before a run."""


def code(stage: str) -> Path:
    """What code a stage reaches, by hashes; see `tasks.core.code`."""
    return DATA / "code" / f"{stage}.json"


def scenes(sensor: str) -> Path:
    """Folder of the recorded STAC items: items.parquet, labels.parquet, thumbnails/."""
    return DATA / "scenes" / sensor


def scan(sensor: str, part: str) -> Path:
    """Candidate windows with their mask fractions, one row a window and scene; quarantine beside."""
    return DATA / "scan" / sensor / part


def labels(sensor: str, part: str) -> Path:
    """Folder of labels.parquet (one row a chip and label), complete.parquet, sources.json and quarantine.parquet."""
    return DATA / "labels" / sensor / part


def labels_of_parts(sensor: str, data: Path = DATA) -> list[Path]:
    """The folders of `labels` of all parts that a sensor has."""
    return sorted(path for path in (data / "labels" / sensor).glob("*") if path.is_dir())


def selected(sensor: str) -> Path:
    """Candidates that passed every filter."""
    return DATA / "select" / sensor / "selected.parquet"


def ledger(sensor: str) -> Path:
    """One row for every candidate: kept, or dropped by which filter, value against threshold."""
    return DATA / "select" / sensor / "ledger.parquet"


def chips(sensor: str, part: str) -> Path:
    """Folder of GeoParquet shards `shard-<hash>.parquet` and `quarantine.parquet`."""
    return DATA / "chips" / sensor / part


def qa(sensor: str, part: str) -> Path:
    """Folder of conversations.parquet and rejected.parquet."""
    return DATA / "qa" / sensor / part


def split() -> Path:
    """Folder of assignment.parquet (chip -> train, val, test or buffer) and certificate.json."""
    return DATA / "split"


def series() -> Path:
    """Folder of series.parquet, dropped.parquet, conversations.parquet and rejected.parquet."""
    return DATA / "series"


def blind() -> Path:
    """Folder of marks.json: which kinds of test question are answered from the text alone."""
    return DATA / "blind"


def stats(sensor: str) -> Path:
    """Per-band statistics of the training chips, JSON."""
    return DATA / "stats" / f"{sensor}.json"


def tokenizer() -> Path:
    """Folder of the preset's tokenizer, `transformers` layout."""
    return DATA / "tokenizer"


def imported(name: str) -> Path:
    """Folder of one imported data set: chips, conversations, rejects, stats.json and summary.json."""
    return DATA / "imported" / name


def mixture(stage: str) -> Path:
    """Folder of train.parquet, val.parquet and test.parquet of one training stage."""
    return DATA / "mixture" / stage


def imported_stats(stage: str, sensor: str) -> Path:
    """Per-band statistics of a sensor that only imported data sets have, in the layout of `stats`."""
    return mixture(stage) / "stats" / f"{sensor}.json"


def train(stage: str) -> Path:
    """Folder of one stage's checkpoint (`transformers` layout) and its log.csv."""
    return DATA / "train" / stage


def subtasks() -> Path:
    """Folder of train.parquet, val.parquet and test.parquet: the last mixture, and what each expert learns of it."""
    return DATA / "subtasks"


def moe(stage: str) -> Path:
    """Folder of one stage's checkpoint of RS-MoE, and its log.csv."""
    return DATA / "moe" / stage


def routing() -> Path:
    """Folder of routing.json and routing.parquet: what the experts of RS-MoE do on held-out chips."""
    return DATA / "routing"


def evaluate(model: str) -> Path:
    """Folder of one model's predictions.parquet, scores.json and scores.csv."""
    return DATA / "evaluate" / model


def guesses() -> Path:
    """Folder of the answers that need no model, a table a set of questions, and guesses.json."""
    return DATA / "guesses"


def frozen() -> Path:
    """Folder of the released model's answers to the frozen set: predictions.parquet, scores.json."""
    return DATA / "frozen"


def forgetting() -> Path:
    """Folder of scores.json: how the questions in true colour are answered after each training stage."""
    return DATA / "forgetting"


def report() -> Path:
    """The page of dataset and model; whatever it shows lies inside it."""
    return DATA / "report" / "index.html"


def report_board() -> Path:
    """The board of the same model, which the page links to."""
    return DATA / "report" / "board.html"


def summary(address: str) -> Path:
    """Counts of one stage instance, `chips@landsat-a` -> data/summary/chips@landsat-a.json; a DVC metric."""
    return DATA / "summary" / f"{address}.json"


def work(address: str) -> Path:
    """Folder for the partial results of one stage instance."""
    return WORK / address
