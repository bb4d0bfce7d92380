"""Checkpoints that are broken, cut, or not what they say: one sentence each, nothing built of a stranger's words."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tasks.core.errors import EarthloomError
from tasks.vlm.answerer import Answerer

ROOT = Path(__file__).resolve().parents[3]
START = ROOT / "samples" / "start" / "tiny"


def config(folder: Path, **changes: Any) -> None:
    """Change fields of config.json; `text_config__hidden_size` is one within another."""
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for name, value in changes.items():
        outer, _, inner = name.rpartition("__")
        (content[outer] if outer else content)[inner] = value
    path.write_text(json.dumps(content))


def tensors(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "model.safetensors"
    held = load_file(path)
    change(held)
    save_file(held, path, metadata={"format": "pt"})


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def cut(name: str, share: float) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return write


def index(weight_map: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return write


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights cut short": (cut("model.safetensors", 0.6), "not a whole safetensors file"),
    "weights empty": (text("model.safetensors", b""), "not a whole safetensors file"),
    "weights that are text": (text("model.safetensors", "version https://git-lfs.example/spec/v1\n"), "safetensors"),
    "weights with a header of exabytes": (text("model.safetensors", b"\xff" * 7 + b"\x0f{}"), "safetensors"),
    "a tensor missing": (lambda f: tensors(f, lambda held: held.pop(sorted(held)[3])), "missing"),
    "a tensor of another shape": (
        lambda f: tensors(f, lambda held: held.update({"lm_head.weight": held["lm_head.weight"][:, :-8].copy()})),
        "mis-shaped",
    ),
    "a tensor of no network": (lambda f: tensors(f, lambda held: held.update(x=np.zeros(2, np.float32))), "unknown"),
    "a tensor that is not finite": (
        lambda f: tensors(f, lambda held: held.update({"lm_head.weight": held["lm_head.weight"] * np.float32("nan")})),
        "not finite",
    ),
    "ten million layers": (lambda f: config(f, text_config__num_hidden_layers=10_000_000), "num_hidden_layers"),
    "ten million layers to see": (lambda f: config(f, vision_config__num_hidden_layers=10**7), "vision_config"),
    "negative layers": (lambda f: config(f, text_config__num_hidden_layers=-1), "num_hidden_layers"),
    "a vocabulary of billions": (lambda f: config(f, text_config__vocab_size=2**40), "vocab_size"),
    "a width of billions": (lambda f: config(f, text_config__hidden_size=2**31), "hidden_size"),
    "no heads": (lambda f: config(f, text_config__num_attention_heads=0), "config.json"),
    "a width that is a word": (lambda f: config(f, text_config__hidden_size="wide"), "config.json"),
    "an image of 2^20 pixels a side": (lambda f: config(f, vision_config__image_size=[2**20] * 2), "config.json"),
    "an activation that is none": (lambda f: config(f, text_config__hidden_act="tanhish"), "config.json"),
    "a fusion that is none": (lambda f: config(f, fusion="magic"), "config.json"),
    "a language model of another kind": (lambda f: config(f, text_config__model_type="nonesuch"), "config.json"),
    "no part for text": (lambda f: config(f, text_config=7), "config.json"),
    "a configuration that is a list": (text("config.json", "[]"), "config.json is not a JSON object"),
    "a configuration that is no JSON": (text("config.json", "{"), "config.json is not JSON"),
    "a configuration in no encoding": (text("config.json", b"\xff\xfe{}"), "config.json is not JSON"),
    "a configuration without end": (text("config.json", "[" * 200_000), "config.json is not JSON"),
    "a configuration of megabytes": (text("config.json", " " * 2**21 + "{}"), "bytes"),
    "a configuration of nothing": (text("config.json", "{}"), "'None'"),
    "a tokenizer that is no JSON": (text("tokenizer.json", "{"), "tokenizer.json is not a tokenizer"),
    "a tokenizer that is another object": (text("tokenizer.json", '{"a": 1}'), "tokenizer.json is not a tokenizer"),
    "a tokenizer that is empty": (text("tokenizer.json", ""), "tokenizer.json is not a tokenizer"),
    "statistics that are a list": (text("normalisation.json", "[]"), "normalisation.json"),
    "statistics that are no JSON": (text("normalisation.json", "{"), "normalisation.json"),
    "statistics that are not finite": (text("normalisation.json", '{"s": {"B": [NaN, 1]}}'), "normalisation.json"),
    "statistics without a deviation": (text("normalisation.json", '{"s": {"B": [1]}}'), "normalisation.json"),
    "an index that is no JSON": (text("model.safetensors.index.json", "{"), "index.json is not JSON"),
    "an index of nothing": (text("model.safetensors.index.json", "{}"), "weight_map"),
    "an index that leads elsewhere": (index({"a": "../other/model.safetensors"}), "no file beside it"),
    "an index of files that are not there": (index({"a": "model-00002-of-00002.safetensors"}), "not in"),
    "an index of other tensors": (index({"a": "model-00001-of-00001.safetensors"}), "disagree"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_checkpoint_is_refused_in_one_sentence_and_at_once(wrong: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(START, folder)
    change, said = WRONG[wrong]
    change(folder)
    begun = time.process_time()
    with pytest.raises(EarthloomError) as caught:
        Answerer(folder)
    message = str(caught.value)
    assert said in message and str(folder) in message, message
    assert len(message) < 600 and "\n" not in message, message
    assert time.process_time() - begun < 20


def test_the_checkpoint_itself_is_taken(tmp_path: Path) -> None:
    assert Answerer(START).model.config.model_type == "earthdial"
