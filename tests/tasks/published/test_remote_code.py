"""A checkpoint that leaves with its own code: loaded by transformers where this repository is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.earthdial.image_processor import EarthDialImageProcessor
from models.parts.image import batch_images
from tasks.commands.weights import export_weights
from tasks.core.errors import WeightsError
from tasks.earth.sensors import SENSORS
from tasks.published.earthdial_export import sensor_settings
from tasks.published.remote_code import remote_code
from tasks.vlm.answerer import Answerer
from tasks.vlm.bands import bands_to_load
from tasks.vlm.chat import Conversation
from tasks.vlm.image_file import DeclaredMetadata, open_image
from tasks.vlm.images import Normalisation, preprocess
from tests.fixtures.elsewhere import run_elsewhere
from tests.fixtures.image_files import L2A, reflectance, write
from tests.fixtures.tiny_checkpoint import BOX_ANSWER, UNIT

LOADED = """
import numpy as np, torch
from transformers import AutoModel, AutoModelForImageTextToText, AutoProcessor

torch.set_num_threads(1)
model = AutoModelForImageTextToText.from_pretrained(".", trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(".", trust_remote_code=True)
saved = np.load("../asked.npz")
image = {"pixels": saved["pixels"], "sensor": "sentinel-2", "bands": saved["bands"].tolist(), "date": "2017-02-16"}

def asked(question, *images):
    content = [*({"type": "image", "image": one} for one in images), {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
    )

def answer(model, inputs):
    ids = model.generate(**inputs, max_new_tokens=40)[0, inputs["input_ids"].shape[1]:]
    return processor.decode(ids, skip_special_tokens=True)
"""


@pytest.fixture(scope="module")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scene") / "scene.tif", reflectance(12), L2A)


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, image_file: Path) -> Path:
    """The tiny checkpoint in the layout that leaves, beside an image as an array."""
    place = tmp_path_factory.mktemp("left")
    export_weights(tiny_checkpoint, place / "model", layout="remote-code")
    opened = open_image(image_file, "scene.tif", 64, 6, DeclaredMetadata(date="2017-02-16"))
    pixels = np.stack(list(opened.planes.values()))
    np.savez(place / "asked.npz", pixels=pixels, bands=list(opened.planes))
    return place / "model"


def here(checkpoint: Path, image_file: Path, *questions: tuple[str, int]) -> list[tuple[list[int], torch.Tensor, str]]:
    """Token ids, logits of the last token and the answer to each question, by this repository's own way."""
    answerer = Answerer(checkpoint)
    out = []
    for text, count in questions:
        conversation = Conversation()
        image = open_image(image_file, "scene.tif", 64, 6, DeclaredMetadata(date="2017-02-16"))
        conversation.ask(text, [image] * count)
        ask = answerer.ask(conversation.question(answerer), 40)
        with torch.no_grad():
            logits = answerer.model(input_ids=torch.tensor([ask.prompt.ids[0]]), **ask.images).logits[0, -1]
        answer = "".join(answerer.stream(conversation.question(answerer), 40)).strip()
        out.append((list(ask.prompt.ids[0]), logits, answer))
    return out


def test_elsewhere_transformers_gives_the_same_tokens_logits_and_answers(
    tiny_checkpoint: Path, exported: Path, image_file: Path, tmp_path: Path
) -> None:
    asked = (("[refer] Where does the forest lie?", 1), ("What covers most of this image?", 1), ("What changed?", 2))
    code = f"""
out = []
for question, count in {asked!r}:
    inputs = asked(question, *[image] * count)
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1]
    out.append([inputs["input_ids"][0].tolist(), logits.tolist(), answer(model, inputs)])

# What someone trains further and saves is whole again, code included, and so is the processor.
model.save_pretrained("../again")
processor.save_pretrained("../again")
again = AutoModelForImageTextToText.from_pretrained("../again", trust_remote_code=True)
inner = AutoModel.from_pretrained(".", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("../again", trust_remote_code=True)
out.append([answer(again, asked({asked[0][0]!r}, image)), type(inner).__name__, type(processor).__name__])
both = processor(
    text=[processor.apply_chat_template([{{"role": "user", "content": "<image>" + text}}], add_generation_prompt=True)
          for text in ({asked[0][0]!r}, {asked[1][0]!r})], images=[[image], [image]])
ids = model.generate(**both, max_new_tokens=40)[:, both["input_ids"].shape[1]:]
out.append(processor.batch_decode(ids, skip_special_tokens=True))
print(json.dumps(out))
"""
    *answers, again, batch = run_elsewhere(LOADED + code, exported, tmp_path)
    for (ids, logits, answer), (own_ids, own_logits, own) in zip(
        answers, here(tiny_checkpoint, image_file, *asked), strict=True
    ):
        assert ids == own_ids
        assert torch.allclose(torch.tensor(logits), own_logits, atol=1e-5)
        assert answer == own
    assert answers[0][2] == BOX_ANSWER  # boxes stay in what is decoded
    assert again == [BOX_ANSWER, "EarthDialModel", "EarthDialProcessor"]
    assert batch == [BOX_ANSWER, "dense forest"]


def test_without_trust_nothing_of_the_folder_is_run(exported: Path, tmp_path: Path) -> None:
    code = """
from transformers import AutoModelForImageTextToText
try:
    AutoModelForImageTextToText.from_pretrained(".", trust_remote_code=False)
except ValueError as error:
    print(json.dumps(str(error)))
"""
    assert "trust_remote_code=True" in run_elsewhere(code, exported, tmp_path)


def test_what_leaves_is_text_and_safetensors_and_names_no_place_of_this_machine(
    exported: Path, tiny_checkpoint: Path
) -> None:
    files = {path.name: path for path in exported.iterdir()}
    assert {
        "config.json", "generation_config.json", "model.safetensors", "modeling_earthdial.py", "normalisation.json",
        "processor_config.json", "preprocessor_config.json", "chat_template.jinja", "tokenizer.json",
        "tokenizer_config.json",
    } <= set(files)  # fmt: skip
    assert files["model.safetensors"].read_bytes() == (tiny_checkpoint / "model.safetensors").read_bytes()
    texts = {name: path.read_text() for name, path in files.items() if path.suffix != ".safetensors"}
    assert [name for name, text in texts.items() if str(exported.parent) in text or str(tiny_checkpoint) in text] == []
    config, generation = (json.loads(texts[name]) for name in ("config.json", "generation_config.json"))
    assert set(config["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForImageTextToText"}
    assert generation["eos_token_id"] == config["text_config"]["eos_token_id"] is not None
    assert "chat_template" not in json.loads(texts["tokenizer_config.json"])  # one template, in its own file


def test_the_checkpoint_that_left_is_still_one_of_ours(exported: Path, image_file: Path) -> None:
    ((_, _, answer),) = here(exported, image_file, ("[refer] Where does the forest lie?", 1))
    assert answer == BOX_ANSWER


def test_the_code_is_one_file_that_imports_nothing_of_ours() -> None:
    text = remote_code()
    assert "import models" not in text and "from models" not in text and "from ." not in text
    assert ".register(" not in text  # the next checkpoint may bring another class of the same name
    assert text == remote_code()


def test_the_processor_shows_every_sensor_as_this_repository_does() -> None:
    settings = sensor_settings(UNIT)
    processor = EarthDialImageProcessor(sensors=settings, size=28, max_tiles=4)
    normalise = Normalisation(UNIT)
    rng = np.random.default_rng(0)
    compared = set()
    for name, sensor in SENSORS.items():
        if name not in settings:
            continue
        for modality in ("rgb", "ms", "sar"):
            if settings[name]["tags"][modality] is None:
                continue
            bands = list(sensor.rgb) if modality == "rgb" and sensor.rgb else sensor.band_names
            low, high = settings[name]["range"] or (0, 1)
            pixels = rng.uniform(low, high, (len(bands), 40, 60)).astype(np.float32)
            pixels[0, 3, 3] = np.nan
            planes = dict(zip(bands, pixels, strict=True))
            ours = preprocess(planes, name, bands_to_load(sensor, modality, bands), normalise)  # type: ignore[arg-type]
            expected = batch_images([ours.tiled(28, 4)])
            order = rng.permutation(len(bands))
            image = {"pixels": pixels[order], "sensor": name, "bands": [bands[place] for place in order]}
            got = processor([image])
            assert all(torch.equal(got[key], expected[key]) for key in expected), (name, modality)
            assert processor.image_tags([image]) == (settings[name]["tags"][modality],)
            compared.add(modality)
    assert compared == {"rgb", "ms", "sar"}


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"pixels": np.ones((1, 4, 4)), "sensor": "moon", "bands": ["B1"]}, "not trained on images of 'moon'"),
        ({"pixels": np.ones((2, 4, 4)), "sensor": "sentinel-2", "bands": ["B02"]}, "a name in `bands`"),
        ({"pixels": np.ones((1, 4, 4)), "sensor": "sentinel-2", "bands": ["B02"]}, "needs B04, B03 too"),
        ({"pixels": np.ones((1, 4, 4)), "sensor": "sentinel-2", "bands": ["NIR"]}, "has no NIR"),
        ({"pixels": np.full((3, 4, 4), 3000), "sensor": "sentinel-2", "wavelengths": [0.665, 0.56, 0.49]}, "median"),
        ({"pixels": np.ones((1, 4, 4)), "sensor": "sentinel-1", "wavelengths": [55465.0]}, "name the bands"),
        ("scene.tif", "a picture of PIL; got str"),
    ],
)
def test_an_image_that_cannot_be_shown_is_refused_with_what_is_wanted(image: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EarthDialImageProcessor(sensors=sensor_settings(UNIT))([image])


def test_wavelengths_name_bands_and_a_picture_is_for_display_values() -> None:
    from PIL import Image as Picture

    from tasks.earth.display_sensors import ALL
    from tasks.earth.sensors import DISPLAY

    processor = EarthDialImageProcessor(sensors=sensor_settings(UNIT))
    picture = Picture.new("RGB", (8, 8), (10, 200, 30))
    with pytest.raises(ValueError, match=r"takes calibrated numbers: .*sentinel-2 in reflectance"):
        processor([picture])
    pixels = np.full((3, 4, 4), 0.3, np.float32)
    by_wavelength = processor([{"pixels": pixels, "sensor": "sentinel-2", "wavelengths": [0.665, 0.56, 0.49]}])
    by_name = processor([{"pixels": pixels, "sensor": "sentinel-2", "bands": ["B04", "B03", "B02"]}])
    assert torch.equal(by_wavelength["pixel_values"], by_name["pixel_values"])
    display = next(one for one in ALL.values() if one.unit == DISPLAY and one.rgb and one.rgb_tag)
    shown = EarthDialImageProcessor(sensors=sensor_settings({display.name: dict.fromkeys(display.rgb or (), (0, 255))}))
    assert shown([picture])["pixel_values"][0, :, 0, 0].tolist() == pytest.approx([10 / 255, 200 / 255, 30 / 255])


def test_what_cannot_leave_so_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    experts = tmp_path / "experts"
    experts.mkdir()
    shutil.copy(tiny_checkpoint / "model.safetensors", experts)
    (experts / "config.json").write_text('{"model_type": "rsmoe"}')
    with pytest.raises(WeightsError, match="is for EarthDial"):
        export_weights(experts, tmp_path / "out", layout="remote-code")
    with pytest.raises(WeightsError, match="keeps every weight"):
        export_weights(tiny_checkpoint, tmp_path / "out", layout="remote-code", drop_fusion=True)
    assert not (tmp_path / "out").exists()
