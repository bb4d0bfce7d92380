"""Another model of transformers, tiny and random: a LLaVA, loaded by its Auto classes."""

from pathlib import Path

import pytest
import torch

from tasks.core.errors import TrainingError
from tasks.evaluation.runner.imported import ImportedBenchmark
from tasks.evaluation.runner.questions import EvaluationJob
from tasks.evaluation.runner.run import run
from tasks.evaluation.runner.transformers_model import Local, LocalSettings
from tasks.vlm.world import World
from tests.fixtures.tiny_checkpoint import write_tokenizer
from tests.tasks.evaluation.runner.runs import predictions, rsvqa

TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}\n"
)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("llava")
    words = write_tokenizer(folder / "words", ["is it rural or urban? yes, no, how many roads are there? three"])
    words.add_special_tokens({"additional_special_tokens": ["<image>"], "eos_token": "<|end|>"})
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    end = words.eos_token_id
    text = LlamaConfig(
        **small, initializer_range=0.5, vocab_size=len(words), eos_token_id=end, pad_token_id=end, bos_token_id=None
    )
    vision = CLIPVisionConfig(**small, image_size=28, patch_size=14)
    slot = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=slot, vision_feature_layer=-1)
    LlavaForConditionalGeneration(config).save_pretrained(folder / "tiny")
    images = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    LlavaProcessor(
        images, words, patch_size=14, vision_feature_select_strategy="default", chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder / "tiny")  # fmt: skip
    return folder / "tiny"


def ran(model: Local, root: Path, out: Path) -> None:
    source = ImportedBenchmark("rsvqa-lr", root / "imported/rsvqa-lr")
    run(EvaluationJob(model, "llava", source, ["no-image"]), out / "llava/rsvqa-lr", World())


def test_it_answers_together_as_it_does_alone(llava: Path, tmp_path: Path) -> None:
    rsvqa(tmp_path, images=3, each=3)
    for together in (1, 4):
        model = Local(llava, LocalSettings(together, max_new_tokens=6))
        ran(model, tmp_path, tmp_path / f"{together}")
    one, four = (predictions(tmp_path / f"{together}", "llava", "rsvqa-lr") for together in (1, 4))
    assert one["answer"].to_list() == four["answer"].to_list() and one["answer"].n_unique() > 1
    assert one["prompt_tokens"].to_list() == four["prompt_tokens"].to_list()
    assert set(one["stop"]) <= {"end", "length"} and len(one["no_image_answer"].drop_nulls()) == 9


def test_weights_as_pickles_and_models_without_a_template_are_refused(llava: Path, tmp_path: Path) -> None:
    for path in llava.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(TrainingError, match="cannot be loaded"):
        Local(tmp_path, LocalSettings())
    (tmp_path / "model.safetensors").write_bytes((llava / "model.safetensors").read_bytes())
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(TrainingError, match="no chat template"):
        Local(tmp_path, LocalSettings())
