"""A checkpoint is loaded back by transformers' AutoModel in a fresh process, with the same logits."""

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.conftest import ROOT
from tests.fixtures.rsmoe import ask, batched, specialise, tiny

torch.set_num_threads(1)
LOAD = """
import sys, torch
import models.rsmoe.model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText
torch.set_num_threads(1)
arguments = load_file(sys.argv[1] + "/arguments.safetensors")
tokens = tuple(arguments.pop("expert_tokens").tolist())
for name in sys.argv[2:]:
    model = AutoModelForImageTextToText.from_pretrained(sys.argv[1] + "/" + name).eval()
    with torch.no_grad():
        logits = model(**arguments, expert_tokens=tokens).logits
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    save_file({"logits": logits, "tied": torch.tensor(tied)}, sys.argv[1] + "/" + name + "/out.safetensors")
"""


def test_a_checkpoint_loads_in_a_fresh_process_with_equal_logits(tmp_path: Path) -> None:
    networks = {
        "shared": tiny(),
        "separate": tiny(realisation="separate", fusion="mosaic"),
        "tied": tiny(text={"tie_word_embeddings": True}),  # as in 1b
    }
    expected = {}
    for name, model in networks.items():
        specialise(model).save_pretrained(tmp_path / name)
        arguments = batched(model, [ask(1, 5), ask(2, 8)])
        with torch.no_grad():
            expected[name] = model(**arguments).logits
    arguments["expert_tokens"] = torch.tensor(arguments["expert_tokens"])
    save_file({name: tensor.contiguous() for name, tensor in arguments.items()}, tmp_path / "arguments.safetensors")
    subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", LOAD, str(tmp_path), *networks],
        cwd=ROOT,
        timeout=240,
        check=True,
    )
    for name, logits in expected.items():
        out = load_file(tmp_path / name / "out.safetensors")
        assert torch.equal(out["logits"], logits), name
        assert bool(out["tied"]) == (name == "tied")
