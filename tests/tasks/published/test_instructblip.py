"""InstructBLIP in the layout of transformers: in as a dense RS-MoE, and out again for those without our code."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.rsmoe.model import RsMoeForConditionalGeneration
from tasks.commands.weights import export_weights, import_weights
from tasks.core.errors import WeightsError
from tests.conftest import ROOT
from tests.fixtures.hub import serve_hub
from tests.fixtures.instructblip import MEAN, QUERIES, SIDE, STD, write_instructblip
from tests.fixtures.rsmoe import specialise

torch.set_num_threads(1)
QUESTION = "What is there?"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_instructblip(folder)
    return folder


@pytest.fixture(scope="module")
def mixture(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stage 2 would leave: experts, router and fusion that learned something, with tokenizer and statistics."""
    folder = tmp_path_factory.mktemp("mixture")
    import_weights(str(published), folder / "dense")
    network: Any = RsMoeForConditionalGeneration
    dense = network.from_pretrained(folder / "dense")
    config = type(dense.config)(
        **{**dense.config.to_dict(), "experts": ["theme", "object"], "templates": ["What is it?", "What is in it?"]}
    )
    model = network(config)
    model.load_state_dict(dense.state_dict(), strict=False)
    specialise(model).save_pretrained(folder / "ours")
    for path in (folder / "dense").iterdir():
        if not (folder / "ours" / path.name).exists():
            path.rename(folder / "ours" / path.name)
    return folder / "ours"


def copied(folder: Path, out: Path) -> Path:
    shutil.copytree(folder, out)
    return out


def inputs(token: int) -> dict[str, torch.Tensor]:
    """Two pictures with a question each, for InstructBLIP's forward."""
    generator = torch.Generator().manual_seed(5)
    words = torch.randint(10, 250, (2, 12), generator=generator)
    return {
        "pixel_values": torch.randn(2, 3, SIDE, SIDE, generator=generator),
        "input_ids": torch.cat([torch.full((2, QUERIES), token), words], dim=1),
        "qformer_input_ids": words[:, :5].contiguous(),
        "qformer_attention_mask": torch.ones(2, 5, dtype=torch.long),
    }


def ours(model: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits of our network, whose forward names the question otherwise."""
    asked = {"instruction_ids": given["qformer_input_ids"], "instruction_mask": given["qformer_attention_mask"].bool()}
    with torch.no_grad():
        logits: torch.Tensor = model(given["input_ids"], given["pixel_values"], **asked).logits
    return logits


def load(folder: Path) -> Any:
    network: Any = RsMoeForConditionalGeneration
    return network.from_pretrained(folder).train(False)


def test_what_was_imported_gives_the_logits_of_the_published_network(published: Path, tmp_path: Path) -> None:
    theirs = write_instructblip(tmp_path / "again")
    import_weights(str(published), tmp_path / "ours")
    model = load(tmp_path / "ours")
    given = inputs(theirs.config.image_token_index)
    with torch.no_grad():
        expected = theirs(**given).logits
    # Their Q-Former attends with a mask of all ones where ours has none: other kernels, the last digits differ.
    assert torch.allclose(ours(model, given), expected, atol=1e-5)
    assert (model.config.number_of_experts, model.config.fusion) == (0, "attention")
    record = json.loads((tmp_path / "ours/import.json").read_text())
    assert (record["fresh_tensors"], record["embedding_rows"]) != ([], 0)
    assert (tmp_path / "ours/qformer_tokenizer/tokenizer.json").is_file()
    statistics = json.loads((tmp_path / "ours/normalisation.json").read_text())
    assert statistics["hr-rgb8"]["R"] == pytest.approx([255 * MEAN[0], 255 * STD[0]])


def test_tensors_that_older_files_hold_and_nobody_learned_are_left_out(published: Path, tmp_path: Path) -> None:
    folder = copied(published, tmp_path / "older")
    tensors = load_file(folder / "model.safetensors")
    tensors["qformer.embeddings.position_ids"] = torch.arange(512)[None]
    tensors["language_model.model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(8)
    save_file(tensors, folder / "model.safetensors")
    import_weights(str(folder), tmp_path / "ours")
    assert load(tmp_path / "ours").config.num_query_tokens == QUERIES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_config": {"model_type": "t5"}}, "its language model is 't5', but only 'llama'"),
        ({"image_token_index": None}, None),
        ({"image_token_index": 400}, "image token is number 400, but the vocabulary has 320 rows"),
    ],
)
def test_a_configuration_that_is_not_this_network_is_refused(
    change: dict[str, Any], message: str | None, published: Path, tmp_path: Path
) -> None:
    folder = copied(published, tmp_path / "changed")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    if message is None:  # the tokenizer says it
        import_weights(str(folder), tmp_path / "ours")
        assert load(tmp_path / "ours").config.image_token_index == 259
        layout = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(layout.replace("<image>", "<picture>"))
        message = "which token stands for the image"
    with pytest.raises(WeightsError, match=message):
        import_weights(str(folder), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_missing_tensors_missing_settings_and_pickles_are_refused_by_name(published: Path, tmp_path: Path) -> None:
    folder = copied(published, tmp_path / "lacking")
    tensors = load_file(folder / "model.safetensors")
    del tensors["query_tokens"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"query_tokens \[1, 8, 32\] is missing"):
        import_weights(str(folder), tmp_path / "ours")
    folder = copied(published, tmp_path / "unsettled")
    (folder / "processor_config.json").unlink()
    with pytest.raises(WeightsError, match=r"processor_config.json nor preprocessor_config.json"):
        import_weights(str(folder), tmp_path / "ours")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(WeightsError, match=r"pytorch_model.bin.*runs whatever its author wrote"):
        import_weights(str(folder), tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


PLAIN = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
FOLDER, QUESTION, TEXT = sys.argv[1], sys.argv[2], Path(sys.argv[1], "README.md").read_text()
IMAGE = load_file(FOLDER + "/../given.safetensors")["picture"].numpy()
torch.set_num_threads(1)
blocks = [part.split("```")[0] for part in TEXT.split("```python")[1:]]
exec(blocks[0])
out = {"pixels": inputs["pixel_values"], "ids": inputs["input_ids"], "asked": inputs["qformer_input_ids"]}
given = load_file(FOLDER + "/../given.safetensors")
given.pop("picture")
with torch.no_grad():
    out["logits"] = model.eval()(**given).logits
    for block in blocks[1:]:
        exec(block)
        out["expert"] = expert.eval()(**given).logits
save_file({name: tensor.contiguous() for name, tensor in out.items()}, FOLDER + "/../out.safetensors")
assert not [name for name in sys.modules if name.split(".")[0] in ("models", "tasks")], "our code was loaded"
"""


def asked_elsewhere(folder: Path) -> dict[str, torch.Tensor]:
    """What the model card's own lines give in a process without our code."""
    config = json.loads((folder / "config.json").read_text())
    given = inputs(config["image_token_index"])
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (70, 80, 3), dtype=np.uint8))
    save_file({**given, "picture": picture}, folder.parent / "given.safetensors")
    subprocess.run([sys.executable, "-c", PLAIN, str(folder), QUESTION], cwd=folder.parent, timeout=240, check=True)
    return load_file(folder.parent / "out.safetensors")


def test_a_mixture_leaves_as_plain_instructblip_and_an_adapter_of_peft_an_expert(mixture: Path, tmp_path: Path) -> None:
    export_weights(mixture, tmp_path / "plain", sensor="hr-rgb8")
    out = asked_elsewhere(tmp_path / "plain")
    model = load(mixture)
    given = inputs(model.config.image_token_index)
    dense = ours(model, given)
    assert torch.allclose(out["logits"], dense, atol=1e-5)
    embedded = _expert_logits(model, given, 0)
    assert torch.allclose(out["expert"], embedded, atol=1e-5) and not torch.allclose(embedded, dense, atol=0.1)
    # The card's lines ask in our own layout, and its settings are our statistics.
    tokens = out["ids"][0].tolist()
    assert tokens.count(model.config.image_token_index) == QUERIES
    assert out["pixels"].shape == (1, 3, SIDE, SIDE)
    card = (tmp_path / "plain/README.md").read_text()
    assert "| `object` | What is in it? |" in card and "licence" in card.lower()
    generation = json.loads((tmp_path / "plain/generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (2, 2)


def _expert_logits(model: Any, given: dict[str, torch.Tensor], expert: int) -> torch.Tensor:
    """What one expert gives for a text as it is, without the router's part."""
    with torch.no_grad():
        mask = given["qformer_attention_mask"].bool()
        seen = model.see(given["pixel_values"], given["qformer_input_ids"], mask)
        embeds = model.embed(given["input_ids"], seen)
        tokens = [0] * model.config.number_of_experts
        tokens[expert] = given["input_ids"].numel()
        logits: torch.Tensor = model.logits(model.decode(embeds, tuple(tokens)), tuple(tokens))
    return logits


def test_an_export_comes_back_as_the_same_mixture_bit_by_bit(mixture: Path, tmp_path: Path) -> None:
    export_weights(mixture, tmp_path / "plain", sensor="hr-rgb8")
    import_weights(str(tmp_path / "plain"), tmp_path / "back")
    before, after = load_file(mixture / "model.safetensors"), load_file(tmp_path / "back/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("tokenizer.json", "normalisation.json"):
        one, two = (json.loads((folder / name).read_text()) for folder in (mixture, tmp_path / "back"))
        assert one == two, name
    configs = [load(folder).config.to_dict() for folder in (mixture, tmp_path / "back")]
    assert configs[0] | {"_name_or_path": ""} == configs[1] | {"_name_or_path": ""}


def test_experts_that_lie_beside_another_base_are_refused(mixture: Path, tmp_path: Path) -> None:
    export_weights(mixture, tmp_path / "plain", sensor="hr-rgb8")
    adapter = tmp_path / "plain/rsmoe/object/adapter_model.safetensors"
    tensors = load_file(adapter)
    name = next(name for name in tensors if name.endswith("up_proj.lora_A.weight"))
    save_file({**tensors, name: torch.zeros(8, 64)}, adapter)
    with pytest.raises(WeightsError, match=r"up_proj.lora_A.weight of expert object is \[8, 64\] instead of \[8, 32\]"):
        import_weights(str(tmp_path / "plain"), tmp_path / "back")
    adapter.unlink()
    with pytest.raises(WeightsError, match="no adapter of expert object"):
        import_weights(str(tmp_path / "plain"), tmp_path / "back")
    save_file(tensors, adapter)
    base = load_file(tmp_path / "plain/model.safetensors")
    save_file({**base, "query_tokens": base["query_tokens"] + 1}, tmp_path / "plain/model.safetensors")
    with pytest.raises(WeightsError, match="exported with another base"):
        import_weights(str(tmp_path / "plain"), tmp_path / "back")


def test_separate_experts_and_unknown_sensors_are_refused(mixture: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"knows those of .*hr-rgb8.*: say --sensor"):
        export_weights(mixture, tmp_path / "plain")
    with pytest.raises(WeightsError, match="--sensor sentinel-2 is not among them"):
        export_weights(mixture, tmp_path / "plain", sensor="sentinel-2")
    folder = copied(mixture, tmp_path / "apart")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "realisation": "separate"}))
    with pytest.raises(WeightsError, match="only realisation `shared` can be exported"):
        export_weights(folder, tmp_path / "plain")


def test_tied_embeddings_stay_tied_both_ways(tmp_path: Path) -> None:
    write_instructblip(tmp_path / "published", tie_word_embeddings=True)
    import_weights(str(tmp_path / "published"), tmp_path / "ours")
    export_weights(tmp_path / "ours", tmp_path / "plain", sensor="hr-rgb8")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("published", "plain"))
    assert before.keys() == after.keys() and "language_model.lm_head.weight" not in before
    model = load(tmp_path / "ours")
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


def test_a_hub_gives_weights_tokenizers_and_settings_and_no_pickle(published: Path, tmp_path: Path) -> None:
    folder, revision = copied(published, tmp_path / "hub"), "0a1b2c3d" * 5
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    pinned = ("--revision", revision)
    with serve_hub(folder, revision) as (endpoint, fetched):
        done = subprocess.run(
            [sys.executable, "-m", "earthloom", "weights", "import", "owner/blip", str(tmp_path / "ours"), *pinned],
            cwd=ROOT,
            env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "pytorch_model.bin" not in fetched
    assert (tmp_path / "ours/qformer_tokenizer/tokenizer.json").is_file()
    assert json.loads((tmp_path / "ours/import.json").read_text())["revision"] == revision
    assert load_file(tmp_path / "ours/model.safetensors").keys() > load_file(folder / "model.safetensors").keys()
