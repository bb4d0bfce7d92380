"""WebDataset: tar shards of `<key>.png`, `<key>.json` and, with the pixels, `<key>.tif`; a sample is a chip."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tasks.dialogue.conversations import IMAGE
from tasks.exchange.exports.names import file_name
from tasks.exchange.exports.options import SPLIT_NAMES, Add, Options
from tasks.exchange.exports.source import Shown, as_line, flat

OF_CHIP = ("chip_id", "sensor", "platform", "datetime", "crs", "transform", "rendering")


def description(shown: Shown, options: Options) -> bytes:
    """The chip, its split and its conversations as JSON."""
    rows = [(talk, flat(shown, talk)) for talk in shown.talks]
    chip = {name: rows[0][1][name] for name in OF_CHIP}
    talks = []
    for talk, row in rows:
        turns = []
        for question, answer in talk.messages(IMAGE, options.tags):
            turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        talks.append({"conversations": turns, **{key: value for key, value in row.items() if key not in OF_CHIP}})
    return as_line({**chip, "split": shown.split, "bands": shown.chip["bands"], "talks": talks}).encode()


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
def write(folder: Path, options: Options) -> Iterator[Add]:
    """`train-000000.tar` and on, by split."""
    tars: dict[str, _Tar] = {}
    with ExitStack() as stack:

        def add(shown: Shown) -> None:
            if shown.split not in tars:
                tars[shown.split] = _Tar(folder, SPLIT_NAMES[shown.split], options.shard_bytes)
                stack.callback(tars[shown.split].close)
            files = {"png": shown.picture, "json": description(shown, options)}
            if options.pixels:
                files["tif"] = shown.geotiff
            tars[shown.split].add(file_name(shown.chip["chip_id"]), files)

        yield add
