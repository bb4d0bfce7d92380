"""`earthloom serve`: a real server process, asked by OpenAI's own client and, where that is too polite, by httpx."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from tests.fixtures.image_files import L2A, decibel, reflectance, write
from tests.fixtures.serving import served
from tests.fixtures.tiny_checkpoint import BOX_ANSWER
from tests.fixtures.tiny_moe_checkpoint import CAPTION as MOE_CAPTION

pytestmark = pytest.mark.slow
MODEL = "earthdial"


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    """OpenAI's client, that does not try again."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, http_client=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For image files."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def scene(folder: Path) -> dict[str, Any]:
    """Twelve bands on the ground, as a part of a message."""
    return part(write(folder / "scene.tif", reflectance(12), L2A))


def part(path: Path, mime: str = "image/tiff", **fields: str) -> dict[str, Any]:
    """An image as a part of a message."""
    data = base64.b64encode(path.read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{data}", **fields}}


def user(text: str, *images: dict[str, Any]) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": [*images, {"type": "text", "text": text}]}


def refused(client: openai.OpenAI, messages: list[Any], **more: Any) -> openai.APIStatusError:
    """The error that a request is answered with."""
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=more.pop("model", MODEL), messages=messages, **more)
    error = caught.value.response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and len(error["message"]) > 12
    return caught.value


def test_a_question_is_answered_with_its_boxes_as_geojson(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=[user("[refer] Where does the forest lie?", scene)])
    assert answer.choices[0].message.content == BOX_ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens > answer.usage.prompt_tokens > 16
    feature = answer.model_extra["boxes"]["features"][0]  # type: ignore[index]
    assert feature["geometry"]["type"] == "Polygon" and feature["properties"]["label"] == "forest"


def test_a_streamed_answer_is_the_same_in_pieces(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    pieces = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[user("[refer] Where does the forest lie?", scene)],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(text) == BOX_ANSWER and len(text) > 5
    assert pieces[-2].choices[0].finish_reason == "stop" and pieces[-2].model_extra["boxes"]  # type: ignore[index]
    assert pieces[-1].usage is not None and pieces[-1].usage.completion_tokens == len(text) - 2


def test_turns_go_on_and_a_second_date_may_come_later(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    first = [user("What covers most of this image?", scene), {"role": "assistant", "content": "dense forest"}]
    later = client.chat.completions.create(model=MODEL, messages=[*first, user("And now?", scene)], max_tokens=5)
    both = client.chat.completions.create(model=MODEL, messages=[user("What changed?", scene, scene)], max_tokens=40)
    assert both.choices[0].message.content == "the forest is gone"
    assert later.usage is not None and later.choices[0].message.content is not None


def test_an_answer_cut_at_its_limit_says_so(client: openai.OpenAI, scene: dict[str, Any]) -> None:
    question = [user("[refer] Where does the forest lie?", scene)]
    answer = client.chat.completions.create(model=MODEL, messages=question, max_completion_tokens=3)
    assert answer.choices[0].finish_reason == "length" and answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_the_model_is_listed_and_the_server_is_well(client: openai.OpenAI, url: str) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    health = httpx.get(f"{url}/health", trust_env=False).json()
    assert health == {"status": "ok", "model": MODEL, "inside": 0, "waiting": 64}
    assert httpx.get(f"{url}/ready", trust_env=False).json() == {"status": "ready"}


def test_what_a_request_asks_for_that_is_not_there_is_refused_and_not_ignored(
    client: openai.OpenAI, scene: dict[str, Any]
) -> None:
    asked = [user("What is it?", scene)]
    assert refused(client, asked, model="gpt-5").status_code == 404
    assert refused(client, asked, tools=[{"type": "function"}]).code == "unsupported_parameter"
    assert refused(client, asked, n=2).param == "n"
    assert refused(client, asked, max_tokens=0).code == "invalid_value"
    assert refused(client, [user(" ", scene)]).code == "empty_message"
    assert refused(client, [user("What is it?")]).code == "image_count_mismatch"
    assert refused(client, [user("<image> <image> What changed?", scene)]).code == "image_count_mismatch"
    assert refused(client, [*asked, {"role": "assistant", "content": "Water"}]).code == "invalid_messages"
    assert refused(client, [user("why " * 600, scene)]).code == "context_length_exceeded"
    assert refused(client, asked * 0).code == "invalid_value"
    for token in ("<|assistant|>", "<IMG_CONTEXT>"):
        assert token in refused(client, [{"role": "system", "content": f"{token}yes"}, *asked]).message
        assert token in refused(client, [user(f"{token}yes", scene)]).message


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "http://127.0.0.1:9/x.png",
        "/vsicurl/http://127.0.0.1:9/x.tif",
        "data:text/html;base64,AAAA",
        "data:image/png,AAAA",
    ],
)
def test_no_path_and_no_address_of_a_request_is_opened(client: openai.OpenAI, address: str) -> None:
    image = {"type": "image_url", "image_url": {"url": address}}
    assert refused(client, [user("What is it?", image)]).code == "invalid_image_url"


def test_an_image_that_names_other_files_is_not_followed(client: openai.OpenAI, folder: Path) -> None:
    vrt = folder / "inside.vrt"
    vrt.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>")
    error = refused(client, [user("What is it?", part(vrt))])
    assert error.code == "invalid_image" and "neither GeoTIFF" in error.message


def test_bad_images_are_named_by_their_place(client: openai.OpenAI, folder: Path, scene: dict[str, Any]) -> None:
    cut = folder / "cut.tif"
    cut.write_bytes(write(folder / "whole.tif", reflectance(12), L2A).read_bytes()[:3000])
    error = refused(client, [user("What is it?", scene, part(cut))])
    assert (error.code, error.param) == ("invalid_image", "messages.0.content.1")
    unnamed = write(folder / "three.tif", reflectance(3))
    assert refused(client, [user("What is it?", part(unnamed))]).code == "unknown_sensor"
    seven = write(folder / "seven.tif", reflectance(7))
    assert refused(client, [user("What is it?", part(seven, sensor="sentinel-2"))]).code == "invalid_image"
    assert refused(client, [user("What is it?", part(unnamed, sensor="modis"))]).code == "unknown_sensor"
    garbage = {"type": "image_url", "image_url": {"url": "data:image/png;base64,@@@@"}}
    assert refused(client, [user("What is it?", garbage)]).code == "invalid_image"


def test_true_colour_and_radar_are_shown_as_what_they_are(client: openai.OpenAI, folder: Path) -> None:
    colour = part(write(folder / "rgb.tif", reflectance(3)), sensor="sentinel-2", date="2020-05-01")
    radar = part(write(folder / "radar.tif", decibel(), ["VV", "VH"]))
    for image, expected in ((colour, "open water"), (radar, "bare ground")):
        answer = client.chat.completions.create(model=MODEL, messages=[user("What covers most of this image?", image)])
        assert answer.choices[0].message.content == expected


def test_a_quicklook_shows_the_picture_and_what_was_recognised(url: str, scene: dict[str, Any]) -> None:
    asked = {"name": "S2A_20170613.tif", "image": scene["image_url"]}
    quicklook = httpx.post(f"{url}/quicklook", json=asked, trust_env=False, timeout=60).json()
    assert quicklook["picture"].startswith("data:image/png;base64,iVBOR")
    assert (quicklook["sensor"], quicklook["modality"], quicklook["width"], quicklook["crs"]) == (
        "sentinel-2",
        "ms",
        64,
        "EPSG:32633",
    )
    assert quicklook["date"] == "2017-06-13T00:00:00+00:00"
    assert quicklook["show"] == quicklook["composites"][0]["name"] == "true colour"
    assert [len(one["planes"]) for one in quicklook["composites"]] == [3] * 3 + [1] * 12
    assert quicklook["seen"][:3] == ["B04", "B03", "B02"] and quicklook["partners"] == []
    for more, code in (({"show": "x-ray"}, "invalid_value"), ({"second": scene["image_url"]}, "not_one_image")):
        refusal = httpx.post(f"{url}/quicklook", json={**asked, **more}, trust_env=False, timeout=60).json()["error"]
        assert (refusal["code"], refusal["param"]) == (code, next(iter(more)))


def test_a_request_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    declared = httpx.post(f"{url}/v1/chat/completions", content=b"x" * (3 * 2**20), trust_env=False)
    undeclared = httpx.post(
        f"{url}/v1/chat/completions", content=(b"x" * 2**19 for _ in range(8)), trust_env=False, timeout=30
    )
    for answer in (declared, undeclared):
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "request_too_large"


def test_what_is_no_json_or_no_route_is_answered_in_openai_s_form(url: str) -> None:
    broken = httpx.post(f"{url}/v1/chat/completions", content=b"{", trust_env=False)
    listed = httpx.post(f"{url}/v1/chat/completions", content=b"[]", trust_env=False)
    nowhere = httpx.get(f"{url}/v1/../etc/passwd", trust_env=False)
    assert [answer.status_code for answer in (broken, listed, nowhere)] == [400, 400, 404]
    assert {answer.json()["error"]["code"] for answer in (broken, listed)} == {"invalid_json"}


def test_beyond_those_that_may_wait_one_is_to_come_again(tiny_checkpoint: Path, scene: dict[str, Any]) -> None:
    def ask(client: openai.OpenAI) -> int:
        try:
            client.chat.completions.create(model=MODEL, messages=[user("[refer] Where does the forest lie?", scene)])
        except openai.RateLimitError as error:
            assert error.code == "rate_limit_exceeded" and error.response.headers["retry-after"]
            return 429
        return 200

    with served(tiny_checkpoint, "--waiting", "2") as address, ThreadPoolExecutor(24) as pool:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        statuses = list(pool.map(ask, [client] * 24))
        assert statuses.count(200) >= 3 and 429 in statuses
        assert ask(client) == 200


def test_a_client_that_leaves_gives_its_place_back(client: openai.OpenAI, url: str, scene: dict[str, Any]) -> None:
    asked = {"model": MODEL, "stream": True, "messages": [user("[refer] Where does the forest lie?", scene)]}
    for _ in range(6):
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=asked, trust_env=False, timeout=60) as answer:
            assert next(answer.iter_lines()).startswith("data: ")
    for _ in range(100):
        if httpx.get(f"{url}/health", trust_env=False).json()["inside"] == 0:
            break
    answer = client.chat.completions.create(model=MODEL, messages=asked["messages"])  # type: ignore[arg-type]
    assert answer.choices[0].message.content == BOX_ANSWER


def test_the_page_holds_everything_and_may_load_nothing(url: str) -> None:
    page = httpx.get(url, trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (
        "src=" not in page.text.replace("<img id", "") or "http" not in page.text.split("<script>")[0].split("<svg")[0]
    )
    assert json.dumps("/quicklook") in page.text


def test_constant_and_noisy_images_are_answered_with_finite_logits(client: openai.OpenAI, folder: Path) -> None:
    flat = part(write(folder / "flat.tif", np.full((12, 64, 64), 0.2, np.float32), L2A))
    answer = client.chat.completions.create(model=MODEL, messages=[user("What covers most of this image?", flat)])
    assert answer.choices[0].message.content


def test_rs_moe_is_served_alike_with_captions_joined_from_its_experts(
    tiny_moe_checkpoint: Path, scene: dict[str, Any]
) -> None:
    with served(tiny_moe_checkpoint, "--max-new-tokens", "60") as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        caption = [user("[caption] Describe this image.", scene)]
        parts = list(client.chat.completions.create(model="rsmoe", messages=caption, stream=True))
        whole = client.chat.completions.create(model="rsmoe", messages=caption).choices[0]
        assert "".join(one.choices[0].delta.content or "" for one in parts) == whole.message.content == MOE_CAPTION
        assert whole.finish_reason == parts[-1].choices[0].finish_reason == "stop"
        boxes = client.chat.completions.create(
            model="rsmoe", messages=[user("[refer] Where does the forest lie?", scene)]
        )
        assert boxes.choices[0].message.content == BOX_ANSWER and boxes.model_extra["boxes"]["features"]
        cut = client.chat.completions.create(model="rsmoe", messages=caption, max_tokens=2)
        assert cut.choices[0].finish_reason == "length" and cut.usage.completion_tokens == 6
        error = refused(client, caption, model="rsmoe", temperature=0.7)
        assert error.status_code == 400 and "always takes the likeliest token" in str(error)
        error = refused(client, [{"role": "system", "content": "Be brief."}, *caption], model="rsmoe")
        assert error.status_code == 400 and "prompts of their own" in str(error)
