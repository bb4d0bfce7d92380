"""What the model was not taught, asked of a server and in a terminal: its limits, as an answer that says so."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tasks.vlm.answerer import Answerer
from tasks.vlm.image_file import DeclaredMetadata
from tasks.vlm.limits import Limits
from tasks.vlm.samples import ImageRef, Sample
from tasks.vlm.terminal import Chat, Outputs, open_all
from tests.fixtures.image_files import L2A, reflectance, write
from tests.fixtures.serving import served
from tests.fixtures.tiny_checkpoint import TAUGHT
from tests.tasks.serving.test_app import part, user

pytestmark = pytest.mark.slow
GOOD, OUTSIDE = "What covers most of this image?", "How many ships?"
SAID = "This model was not taught about ships. It knows images of sentinel-2 (ms). Ask it, for example: "


@pytest.fixture(scope="module")
def limited(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with its limits beside it."""
    folder = tmp_path_factory.mktemp("limited") / "model"
    shutil.copytree(tiny_checkpoint, folder)
    image = ImageRef("chips.parquet", "c", "sentinel-2", "ms", tuple(L2A), 64, 64, None)
    samples = [
        Sample("s", "c", "sentinel-2", "ms", (image,), ((question, answer),), ("cover",), 1)
        for question, answer in TAUGHT
        if question.count("<image>") == 1
    ]
    Limits.of(samples).save(folder)
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scene") / "scene.tif", reflectance(12), L2A)


@pytest.fixture(scope="module")
def url(limited: Path) -> Iterator[str]:
    with served(limited) as address:
        yield address


def ask(url: str, messages: list[Any], **more: Any) -> Any:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    return client.chat.completions.create(model="earthdial", messages=messages, **more)


def test_the_limits_come_as_an_ordinary_answer_with_a_field_that_says_so(url: str, scene: Path) -> None:
    asked = [user(OUTSIDE, part(scene))]
    whole = ask(url, asked)
    assert whole.choices[0].message.content.startswith(SAID) and whole.choices[0].finish_reason == "stop"
    assert whole.model_extra == {"outside_limits": True} and whole.usage.completion_tokens == 0
    *_, text, last = list(ask(url, asked, stream=True))
    assert text.choices[0].delta.content == whole.choices[0].message.content
    assert last.model_extra == {"outside_limits": True} and last.choices[0].finish_reason == "stop"
    good = ask(url, [user(GOOD, part(scene))])
    assert good.choices[0].message.content == "dense forest" and not good.model_extra


def test_a_conversation_goes_on_as_if_the_question_outside_had_not_been_asked(url: str, scene: Path) -> None:
    said = ask(url, [user(OUTSIDE, part(scene))]).choices[0].message.content
    begun = [user(OUTSIDE, part(scene)), {"role": "assistant", "content": said}]
    later = ask(url, [*begun, user(GOOD)])
    alone = ask(url, [user(GOOD, part(scene))])
    assert later.choices[0].message.content == "dense forest"
    assert later.usage.prompt_tokens == alone.usage.prompt_tokens


def test_the_list_of_models_and_the_page_carry_the_limits(url: str) -> None:
    (model,) = httpx.get(f"{url}/v1/models", trust_env=False).json()["data"]
    assert model["limits"]["sensors"]["sentinel-2"]["ms"]["bands"] == L2A
    assert model["limits"]["kinds"]["cover"]["count"] == 4 and "wording" not in model["limits"]
    assert "server.limits" in httpx.get(url, trust_env=False).text


def test_no_limits_asks_the_model_anyway(limited: Path, scene: Path) -> None:
    with served(limited, "--no-limits") as url:
        answer = ask(url, [user(OUTSIDE, part(scene))])
    # A network of random weights may say something like a box.
    assert not set(answer.model_extra or {}) - {"boxes"} and "not taught" not in answer.choices[0].message.content


def test_in_a_terminal_the_conversation_is_as_before_and_slash_limits_lists_them(
    limited: Path, scene: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answerer = Answerer(limited)
    given = open_all([scene], answerer, DeclaredMetadata())
    chat = Chat(answerer, given, DeclaredMetadata(), Outputs(), 40, Limits.load(limited))
    chat.talk(iter([OUTSIDE, GOOD, "/limits"]))
    out = capsys.readouterr().out
    assert out.startswith(SAID) and "\ndense forest\n" in out
    assert "Trained on images of sentinel-2 (ms); one image at a time." in out and "cover (4 in training)" in out
    assert [turn[1] for turn in chat.conversation.turns] == ["dense forest"]
