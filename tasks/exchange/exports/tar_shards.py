"""WebDataset: tar shards of `<key>.png`, `<key>.json` and, with the pixels, `<key>.tif`; a sample is a chip.

A series is a sample of shards of its own: `<key>.0.png`, `<key>.1.png`, `<key>.json`.
"""

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tasks.exchange.exports.json_lines import from_value
from tasks.exchange.exports.names import file_name
from tasks.exchange.exports.options import SERIES, SPLIT_NAMES, Adding, Options
from tasks.exchange.exports.series import ShownSeries, flat_series
from tasks.exchange.exports.source import Shown, as_line, flat

OF_CHIP = ("chip_id", "sensor", "platform", "datetime", "crs", "transform", "rendering")
OF_SERIES = ("series_id", "kind", "rule", "days", "chip_ids", "sensors", "platforms", "datetimes", "crs", "transform",
             "renderings")  # fmt: skip


def description(shown: Shown, options: Options) -> bytes:
    """The chip, its split and its conversations as JSON."""
    rows = [flat(shown, talk) for talk in shown.talks]
    turns = [from_value(talk, options) for talk in shown.talks]
    return _described(rows, turns, OF_CHIP, {"split": shown.split, "bands": shown.chip["bands"]})


def series_description(shown: ShownSeries, options: Options) -> bytes:
    """The series, its split and its conversations as JSON."""
    rows = [flat_series(shown, talk) for talk in shown.talks]
    turns = [from_value(talk, options, shown.mark) for talk in shown.talks]
    bands = [image.chip["bands"] for image in shown.images]
    return _described(rows, turns, OF_SERIES, {"split": shown.split, "bands": bands})


def _described(
    rows: Sequence[Mapping[str, Any]], turns: Sequence[Any], shared: Sequence[str], more: Mapping[str, Any]
) -> bytes:
    """What the rows share once, and `talks` with the rest of each."""
    talks = [
        {"conversations": said, **{key: value for key, value in row.items() if key not in shared}}
        for row, said in zip(rows, turns, strict=True)
    ]
    return as_line({**{name: rows[0][name] for name in shared}, **more, "talks": talks}).encode()


class _Tar:
    """The shards of one split, one after the other."""

    def __init__(self, folder: Path, split: str, most: int) -> None:
        self.folder, self.split, self.most = folder, split, most
        self.number, self.bytes = 0, 0
        self.tar: tarfile.TarFile | None = None

    def add(self, key: str, files: dict[str, bytes]) -> None:
        if self.tar is None:
            path = self.folder / f"{self.split}-{self.number:06d}.tar"
            self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
        for kind, content in files.items():
            # Whose file it is and when it was made would be other bytes on another day.
            header = tarfile.TarInfo(f"{key}.{kind}")
            header.size = len(content)
            self.tar.addfile(header, io.BytesIO(content))
            self.bytes += len(content)
        if self.bytes >= self.most:
            self.close()

    def close(self) -> None:
        if self.tar is not None:
            self.tar.close()
            self.number, self.bytes, self.tar = self.number + 1, 0, None


@contextmanager
def write(folder: Path, options: Options) -> Iterator[Adding]:
    """`train-000000.tar` and on, by split; of series `series-train-000000.tar` and on."""
    tars: dict[str, _Tar] = {}
    with ExitStack() as stack:

        def put(name: str, identity: str, files: dict[str, bytes]) -> None:
            if name not in tars:
                tars[name] = _Tar(folder, name, options.shard_bytes)
                stack.callback(tars[name].close)
            tars[name].add(file_name(identity), files)

        def add(shown: Shown) -> None:
            files = {"png": shown.picture, "json": description(shown, options)}
            if options.pixels:
                files["tif"] = shown.geotiff
            put(SPLIT_NAMES[shown.split], shown.chip["chip_id"], files)

        def add_series(shown: ShownSeries) -> None:
            files = {f"{number}.png": image.picture for number, image in enumerate(shown.images)}
            if options.pixels:
                files |= {f"{number}.tif": image.geotiff for number, image in enumerate(shown.images)}
            files["json"] = series_description(shown, options)
            put(f"{SERIES}{SPLIT_NAMES[shown.split]}", shown.series_id, files)

        yield Adding(add, add_series)
