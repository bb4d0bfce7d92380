"""One export from begin to end: the layout's files, then what stands beside them in every layout."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tasks.core import tables
from tasks.core.errors import EmptyStageError
from tasks.core.log import progress
from tasks.core.stage import storage_errors, write_json
from tasks.exchange.exports import hugging_face, json_lines, saved_folders, stac_items, tar_shards
from tasks.exchange.exports.card import card
from tasks.exchange.exports.croissant import croissant
from tasks.exchange.exports.folder import building
from tasks.exchange.exports.licences import Ledger, ledger
from tasks.exchange.exports.options import SPLIT_NAMES, Options, Writer
from tasks.exchange.exports.page import page
from tasks.exchange.exports.series import SeriesSource
from tasks.exchange.exports.source import LEFT_OUT, SPLITS, Source
from tasks.exchange.exports.tally import Tally

_PICTURES = "`images/` holds the pictures; paths in the files are relative to this folder."


@dataclass(frozen=True)
class Layout:
    """One layout that a data set can leave in."""

    write: Writer
    read: str
    """How it is read, as Markdown for the card."""
    configs: str = ""
    """Pattern of a split's files for the hub's loader; `{split}` is one side."""
    tags: bool = False
    """Whether it always carries EarthDial's tags."""
    talks: bool = True
    """Whether conversations are in it."""
    series: str = ""
    """As `configs`, of the files with several images a conversation."""


LAYOUTS: Mapping[str, Layout] = {
    "huggingface": Layout(
        hugging_face.write,
        "Parquet under `data/`, one row a conversation; `datasets.load_dataset` takes the path of this folder. `image` "
        "is decoded as a picture; `conversations` are turns of `from` and `value`. `croissant.json` describes "
        "the columns. Conversations about several images are the configuration `series`, whose `images` is a list.",
        "data/{name}-*.parquet",
        series="data/series-{name}-*.parquet",
    ),
    "llava": Layout(
        json_lines.write_llava,
        f"`train.json`, `val.json` and `test.json` in LLaVA's form; `--image_folder` is this folder. {_PICTURES} "
        "Conversations about several images are in `series-train.json` and so on: `image` is a list there, and the "
        "first question has an `<image>` for each.",
    ),
    "sharegpt": Layout(
        json_lines.write_sharegpt,
        "The same conversations as ShareGPT (`sharegpt/`) and as messages (`messages/`), JSON lines. LLaMA-Factory "
        "finds both in `dataset_info.json`; its `dataset_dir` and `media_dir` are this folder. ms-swift reads "
        f"`messages/` when it is started here. {_PICTURES} Conversations about several images are in files beside "
        "them, `series-train.jsonl` and so on.",
        "sharegpt/{split}.jsonl",
        series="sharegpt/series-{split}.jsonl",
    ),
    "earthdial": Layout(
        saved_folders.write,
        "A folder for each sensor and side of the split, as `datasets.save_to_disk` writes it: "
        "`datasets.load_from_disk`, EarthDial's own loader or `earthloom import earthdial-instruct` read it. The first "
        "question carries EarthDial's tags. Radar is one band, grey, as EarthDial has it. A row has "
        "one picture: conversations about several are left out.",
        tags=True,
    ),
    "webdataset": Layout(
        tar_shards.write,
        "Tar shards by side of the split. A sample is a chip: `png`, `json` with all its conversations under `talks`, "
        "and `tif` with the pixels, if they are part of this export. A sample of `series-*.tar` is a series: `0.png`, "
        "`1.png` and so on, and `json`.",
        "{name}-*.tar",
        series="series-{name}-*.tar",
    ),
    "stac-geoparquet": Layout(
        stac_items.write,
        "Chips as STAC items in `items-*.parquet`, read by rustac or stac-geoparquet; hrefs are relative to this "
        "folder. "
        "`earthloom:shard` names the shard of the built data set that holds the chip. Conversations are not in it.",
        talks=False,
    ),
}


@dataclass(frozen=True)
class Exported:
    """What an export holds."""

    tally: Tally
    ledger: Ledger
    left_out: Mapping[str, int]
    marked: frozenset[str] | None
    """Kinds of question that are answered without the picture; None where that was not measured."""


def export(
    form: str,
    data: Path,
    out: Path,
    options: Options,
    sensors: Sequence[str] = (),
    splits: Sequence[str] = SPLITS,
) -> Exported:
    """Write a built data set in another layout; the same inputs give the same bytes.

    Args:
        form: a key of `LAYOUTS`.
        data: folder of the data set.
        out: folder to write, which is whole or not there.
        options: what is asked for.
        sensors: that leave; all if none is given.
        splits: sides of the split that leave.

    Raises:
        ExchangeError: the folder is not ours to write, or the layout cannot hold the data set.
        MissingInputError: a stage has not run.
        EmptyStageError: no conversation is left.
    """
    layout = LAYOUTS[form]
    source = Source(data, sensors, splits)
    asked = {**asdict(options), "tags": options.tags or layout.tags, "sensors": source.sensors, "splits": source.splits}
    with storage_errors(), building(out, form, asked) as folder:
        tally = Tally()
        with tables.row_writer(LEFT_OUT, folder / "left_out.parquet") as leave, layout.write(folder, options) as add:
            for shown in progress(source.chips(leave), f"chips as {form}"):
                add.chip(shown)
                tally.add(shown)
            several = SeriesSource(source)
            if add.series is not None:
                for series in several.series(leave):
                    add.series(series)
                    tally.add_series(series)
            elif layout.talks:
                several.leave_all(leave, form)
        if not tally.pairs:
            raise EmptyStageError(f"no conversation is left to export: {dict(source.left_out)} were left out")
        found = ledger(data, tally.sensors, tally.sources, tally.collections)
        done = Exported(tally, found, source.left_out, source.marked)
        _describe(folder, form, layout, done, options)
    return done


def _describe(folder: Path, form: str, layout: Layout, done: Exported, options: Options) -> None:
    tally, found = done.tally, done.ledger
    configs = {
        config: [(SPLIT_NAMES[split], pattern.format(split=split, name=SPLIT_NAMES[split])) for split in splits]
        for config, pattern, splits in (
            ("default", layout.configs, tally.splits_of(tally.chips)),
            ("series", layout.series, tally.splits_of(tally.series)),
        )
        if pattern and splits
    }
    text = card(form, layout.read, tally, found, done.left_out, done.marked, options, configs)
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "statistics.html").write_text(page(form, tally, found, done.left_out, done.marked), encoding="utf-8")
    write_json(folder / "licences.json", found.as_json())
    if form == "huggingface":
        sentence = f"{tally.count():,} checked question-answer pairs about {sum(tally.chips.values()):,} image chips."
        write_json(folder / "croissant.json", croissant(options, found, tally.splits_of(tally.chips), sentence))
