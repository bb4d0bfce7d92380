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
from tasks.exchange.exports.options import Add, Options, put, text_file
from tasks.exchange.exports.source import Shown, Talk, as_line, guessable


def _put_files(folder: Path, shown: Shown, options: Options) -> dict[str, str]:
    """Write a chip's picture, and its pixels if wanted: their paths from the export's folder."""
    chip_id = shown.chip["chip_id"]
    paths = {"image": put(folder, picture_path(chip_id), shown.picture)}
    if options.pixels:
        paths["pixels"] = put(folder, picture_path(chip_id, "tif", "pixels"), shown.geotiff)
    return paths


def from_value(talk: Talk, options: Options) -> list[dict[str, str]]:
    """Turns as LLaVA and ShareGPT have them."""
    out = []
    for question, answer in talk.messages(IMAGE, options.tags):
        out += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return out


def role_content(talk: Talk, options: Options) -> list[dict[str, str]]:
    """Turns as messages have them."""
    names = {"human": "user", "gpt": "assistant"}
    return [{"role": names[turn["from"]], "content": turn["value"]} for turn in from_value(talk, options)]


@contextmanager
def write_llava(folder: Path, options: Options) -> Iterator[Add]:
    """`train.json`, `val.json` and `test.json`, each one list, written as it grows."""
    with ExitStack() as stack:
        files: dict[str, TextIO] = {}

        def add(shown: Shown) -> None:
            paths = _put_files(folder, shown, options)
            for talk in shown.talks:
                begun = shown.split in files
                if not begun:
                    files[shown.split] = stack.enter_context(text_file(folder / f"{shown.split}.json"))
                row: dict[str, Any] = {"id": talk.row["conversation_id"], **paths}
                row |= {"conversations": from_value(talk, options), "sensor": shown.chip["sensor"]}
                row["guessable"] = guessable(shown, talk)
                files[shown.split].write((",\n" if begun else "[\n") + as_line({**row, "task": talk.row["task"]}))

        yield add
        for file in files.values():
            file.write("\n]\n")


@contextmanager
def write_sharegpt(folder: Path, options: Options) -> Iterator[Add]:
    """`sharegpt/` and `messages/`: the same conversations in both forms, and LLaMA-Factory's dataset_info.json."""
    splits: list[str] = []
    with ExitStack() as stack:
        files: dict[tuple[str, str], TextIO] = {}

        def line(form: str, split: str, value: dict[str, Any]) -> None:
            if (form, split) not in files:
                files[form, split] = stack.enter_context(text_file(folder / form / f"{split}.jsonl"))
            files[form, split].write(as_line(value) + "\n")

        def add(shown: Shown) -> None:
            if shown.split not in splits:
                splits.append(shown.split)
            paths = _put_files(folder, shown, options)
            images = {"images": [paths.pop("image")], **paths}
            for talk in shown.talks:
                known = {"id": talk.row["conversation_id"], **images, "guessable": guessable(shown, talk)}
                line("sharegpt", shown.split, {**known, "conversations": from_value(talk, options)})
                line("messages", shown.split, {**known, "messages": role_content(talk, options)})

        yield add
    write_json(folder / "dataset_info.json", dataset_info(splits))


def dataset_info(splits: list[str]) -> dict[str, Any]:
    """What LLaMA-Factory is to know of the files: their form, and which of their columns is which."""
    roles = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    found: dict[str, Any] = {}
    for split in splits:
        for form, column, tags in (("sharegpt", "conversations", {}), ("messages", "messages", {"tags": roles})):
            found[f"earthloom_{form}_{split}"] = {
                "file_name": f"{form}/{split}.jsonl",
                "formatting": "sharegpt",
                "columns": {"messages": column, "images": "images"},
                **tags,
            }
    return found
