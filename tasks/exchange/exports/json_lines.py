"""LLaVA's JSON, ShareGPT's and messages' JSON lines, each with a folder of pictures beside it.

LLaVA's trainers read one JSON list (`--data_path train.json --image_folder .`). LLaMA-Factory reads the lines as
dataset_info.json describes them; ms-swift reads messages.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from tasks.core.stage import write_json
from tasks.dialogue.conversations import IMAGE
from tasks.exchange.exports.names import picture_path
from tasks.exchange.exports.options import SERIES, Adding, Options, put, text_file
from tasks.exchange.exports.series import ShownSeries
from tasks.exchange.exports.source import Shown, Talk, as_line, guessable


def _put_files(folder: Path, shown: Shown, options: Options) -> dict[str, str]:
    """Write a chip's picture, and its pixels if wanted: their paths from the export's folder."""
    chip_id = shown.chip["chip_id"]
    paths = {"image": put(folder, picture_path(chip_id), shown.picture)}
    if options.pixels:
        paths["pixels"] = put(folder, picture_path(chip_id, "tif", "pixels"), shown.geotiff)
    return paths


def _put_series(folder: Path, shown: ShownSeries, options: Options) -> dict[str, list[str]]:
    """The files of all its chips; a chip with conversations of its own has the same."""
    each = [_put_files(folder, image, options) for image in shown.images]
    return {name: [paths[name] for paths in each] for name in each[0]}


def from_value(talk: Talk, options: Options, mark: str = IMAGE) -> list[dict[str, str]]:
    """Turns as LLaVA and ShareGPT have them; `mark` has an `<image>` for each image."""
    out = []
    for question, answer in talk.messages(mark, options.tags):
        out += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return out


def role_content(talk: Talk, options: Options, mark: str = IMAGE) -> list[dict[str, str]]:
    """Turns as messages have them."""
    names = {"human": "user", "gpt": "assistant"}
    return [{"role": names[turn["from"]], "content": turn["value"]} for turn in from_value(talk, options, mark)]


@contextmanager
def write_llava(folder: Path, options: Options) -> Iterator[Adding]:
    """`train.json`, `val.json` and `test.json`, each one list, written as it grows; conversations about series lie in
    lists of their own, where `image` is a list too: who reads one image a row reads the others as before.
    """
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}

        def line(name: str, row: dict[str, Any]) -> None:
            begun = name in files
            if not begun:
                files[name] = stack.enter_context(text_file(folder / f"{name}.json"))
            files[name].write((",\n" if begun else "[\n") + as_line(row))

        def add(shown: Shown) -> None:
            paths = _put_files(folder, shown, options)
            for talk in shown.talks:
                row = {"id": talk.row["conversation_id"], **paths, "conversations": from_value(talk, options)}
                row |= {"sensor": shown.chip["sensor"], "guessable": guessable(shown.marked, talk)}
                line(shown.split, {**row, "task": talk.row["task"]})

        def add_series(shown: ShownSeries) -> None:
            paths = _put_series(folder, shown, options)
            for talk in shown.talks:
                row = {"id": talk.row["conversation_id"], **paths}
                row |= {"conversations": from_value(talk, options, shown.mark), "sensor": shown.sensors}
                row |= {"guessable": guessable(shown.marked, talk), "task": talk.row["task"]}
                line(f"{SERIES}{shown.split}", row)

        yield Adding(add, add_series)
        for file in files.values():
            file.write("\n]\n")


@contextmanager
def write_sharegpt(folder: Path, options: Options) -> Iterator[Adding]:
    """`sharegpt/` and `messages/`: the same conversations in both forms, and LLaMA-Factory's dataset_info.json."""
    names: dict[str, None] = {}
    with ExitStack() as stack:
        files: dict[tuple[str, str], TextIO] = {}

        def line(form: str, name: str, value: dict[str, Any]) -> None:
            names.setdefault(name)
            if (form, name) not in files:
                files[form, name] = stack.enter_context(text_file(folder / form / f"{name}.jsonl"))
            files[form, name].write(as_line(value) + "\n")

        def talked(
            name: str, talks: list[Talk], paths: dict[str, Any], marked: frozenset[str] | None, mark: str
        ) -> None:
            for talk in talks:
                known = {"id": talk.row["conversation_id"], **paths, "guessable": guessable(marked, talk)}
                line("sharegpt", name, {**known, "conversations": from_value(talk, options, mark)})
                line("messages", name, {**known, "messages": role_content(talk, options, mark)})

        def add(shown: Shown) -> None:
            paths = _put_files(folder, shown, options)
            images = {"images": [paths.pop("image")], **paths}
            talked(shown.split, shown.talks, images, shown.marked, IMAGE)

        def add_series(shown: ShownSeries) -> None:
            paths = _put_series(folder, shown, options)
            images = {"images": paths.pop("image"), **paths}
            talked(f"{SERIES}{shown.split}", shown.talks, images, shown.marked, shown.mark)

        yield Adding(add, add_series)
    write_json(folder / "dataset_info.json", dataset_info(list(names)))


def dataset_info(names: list[str]) -> dict[str, Any]:
    """What LLaMA-Factory is to know of the files: their form, and which of their columns is which."""
    roles = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    found: dict[str, Any] = {}
    for name in names:
        for form, column, tags in (("sharegpt", "conversations", {}), ("messages", "messages", {"tags": roles})):
            found[f"earthloom_{form}_{name}"] = {
                "file_name": f"{form}/{name}.jsonl",
                "formatting": "sharegpt",
                "columns": {"messages": column, "images": "images"},
                **tags,
            }
    return found
