"""The tools as an assistant uses them: a real client of a real server over standard input and output."""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import rasterio
from mcp.shared.exceptions import MCPError
from PIL import Image

from tests.fixtures.assistant import GROUND, ROOT, Assistant

pytestmark = pytest.mark.slow


def looked_at(client: Assistant, address: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The picture that a resource holds."""
    (content,) = client.of("read_resource", address).contents
    assert content.mime_type == "image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content.blob))))


def test_each_tool_says_what_it_takes_and_gives_and_whether_it_changes_anything(claude: Assistant) -> None:
    tools = {tool.name: tool for tool in claude.of("list_tools").tools}
    writing = {name for name, tool in tools.items() if not tool.annotations.read_only_hint}
    assert writing == {"cut_chip", "add_image"} and not any(
        tools[name].annotations.destructive_hint for name in writing
    )
    assert {name for name, tool in tools.items() if tool.annotations.open_world_hint} == {"search_scenes", "cut_chip"}
    assert [name for name, tool in tools.items() if tool.output_schema is None] == ["show_image"]
    assert all(tool.description and tool.input_schema["additionalProperties"] is False for tool in tools.values())
    templates = claude.of("list_resource_templates").resource_templates
    assert [one.uri_template for one in templates] == ["earthloom://images/{image}/{picture}.png"]
    assert [prompt.name for prompt in claude.of("list_prompts").prompts] == ["describe_a_place"]


def test_a_scene_is_found_by_box_or_place_and_what_empties_a_search_is_named(claude: Assistant) -> None:
    found = claude.ask("search_scenes", **GROUND)
    assert found["found"] == 1 and found["catalog"] == "sample" and found["note"] is None
    (scene,) = found["scenes"]
    assert scene["datetime"].startswith("2017-02-16") and scene["cloud"] == 8.4
    corner = {"type": "Point", "coordinates": [12.6, 52.49]}
    place = {"type": "Feature", "properties": {}, "geometry": corner}
    assert claude.ask("search_scenes", sensor="sentinel-2", place=place)["scenes"] == [scene]
    # Within the box around both ends of a line, and not on it.
    away = {"type": "LineString", "coordinates": [[12.0, 52.0], [12.0, 53.0], [13.0, 53.0]]}
    assert claude.ask("search_scenes", sensor="sentinel-2", place=away)["found"] == 0
    assert "at most 1.0 % cloud" in claude.ask("search_scenes", **GROUND, max_cloud=1)["note"]


def test_a_chip_is_cut_calibrated_onto_the_grid_and_its_picture_shows_something(
    claude: Assistant, chip: dict[str, Any]
) -> None:
    assert chip["bands"] == ["B02", "B03", "B04", "B08"] and chip["gsd"] == 10 and chip["nodata"] == 0
    assert 0 <= chip["masks"]["cloud"] <= 1 and chip["masks"].keys() == {"cloud", "shadow", "cirrus", "snow", "water"}
    with rasterio.open(chip["file"]) as file:
        assert (file.count, file.width, file.crs.to_string()) == (4, 64, chip["crs"]) and file.transform.c % 10 == 0
        assert list(file.descriptions) == chip["bands"] and 0 < file.read(4).mean() < 1
    assert [address.rsplit("/", 1)[1] for address in chip["pictures"]] == ["true-colour.png", "false-colour.png"]
    colours, infrared = (looked_at(claude, address) for address in chip["pictures"])
    assert colours.shape == (64, 64, 3) and colours.std() > 10 and not np.array_equal(colours, infrared)
    shown = claude.call("show_image", image=chip["image"], picture="false-colour").content[0]
    assert base64.b64decode(shown.data).startswith(b"\x89PNG")
    again = claude.call("cut_chip", scene=chip["scene"], lon=12.6, lat=52.49, size=64, bands=chip["bands"])
    assert again.structured_content == chip
    assert [one.uri for one in again.content if one.type == "resource_link"] == chip["pictures"]
    window = claude.ask("cut_chip", scene=chip["scene"], window="32633-0640-c00526-r09091", bands=["B04"])
    assert window["transform"][2::3] == [526 * 640, 9092 * 640] and window["size"] == 64


def test_the_model_answers_about_one_image_and_about_two_dates(claude: Assistant, chip: dict[str, Any]) -> None:
    one = claude.ask("ask_model", question="What covers most of this image?", images=[chip["image"]])
    assert one["answer"] == "dense forest" and one["finish"] == "stop" and not one["outside_limits"]
    assert one["images"][0]["sensor"] == "sentinel-2" and one["images"][0]["datetime"].startswith("2017-02-16")
    both = claude.ask("ask_model", question="What changed?", images=[{"image": chip["image"]}] * 2)
    assert both["answer"] == "the forest is gone"
    found = claude.ask("ask_model", question="[refer] Where does the forest lie?", images=[chip["image"]])
    (box,) = found["boxes"]["features"]
    assert box["geometry"]["type"] == "Polygon" and box["properties"]["label"] == "forest"
    assert "leave sensor" in claude.refused(
        "ask_model", question="What is it?", images=[{"image": chip["image"], "sensor": "landsat"}]
    )


def test_a_right_pair_is_supported_and_a_wrong_one_contradicted_with_what_is_right(
    claude: Assistant, chip: dict[str, Any]
) -> None:
    asked = {"question": "When was this image taken?", "chip": chip["image"]}
    assert claude.ask("verify_pair", **asked, answer="16 February 2017")["verdict"] == "supported"
    wrong = claude.ask("verify_pair", **asked, answer="3 July 2018")
    assert wrong["verdict"] == "contradicted" and "2017" in wrong["reason"]
    for where in ({"chip": "known-chip"}, {"conversation": "known-chip#0"}):
        asked = {"question": "Is there any water in this image?", **where}
        right = claude.ask("verify_pair", **asked, answer="yes")
        assert right["verdict"] == "supported" and right["evidence"][0]["name"] == "water"
        assert claude.ask("verify_pair", **asked, answer="no")["verdict"] == "contradicted"


def test_files_of_the_given_folders_are_listed_and_nothing_outside_them(claude: Assistant) -> None:
    names = [one["name"] for one in claude.ask("list_images")["images"] if one["kind"] == "file"]
    assert names == ["harbours/one.png"]
    added = claude.ask("add_image", path="harbours/one.png")
    assert added["bands"] == ["R", "G", "B"] and added["note"]
    assert looked_at(claude, added["pictures"][0]).std() > 10
    assert any(one.name == added["image"] for one in claude.of("list_resources").resources)
    for path in (
        "../secret.png",
        "away.png",
        "up/secret.png",
        "/etc/passwd",
        "C:\\boot.ini",
        "harbours/../../secret.png",
    ):
        assert claude.refused("add_image", path=path).startswith("path: "), path
    assert "no such file" in claude.refused("add_image", path="harbours/two.png")
    assert "neither" in claude.refused("add_image", path="notes.txt")


@pytest.mark.parametrize(
    ("tool", "change", "says"),
    [
        ("search_scenes", {"sensor": "hubble"}, "sensor is 'hubble'; there are:"),
        ("search_scenes", {"bbox": [1, 2, 3]}, "bbox"),
        ("search_scenes", {"bbox": [200, 52, 201, 53]}, "[west, south, east, north] in degrees"),
        ("search_scenes", {"bbox": None}, "either bbox"),
        ("search_scenes", {"bbox": None, "place": {"type": "Polygon", "coordinates": "x"}}, "place is no GeoJSON"),
        ("search_scenes", {"start": "yesterday"}, "start and end: 'yesterday' is not a date"),
        ("search_scenes", {"start": "2018", "end": "2017"}, "ends before it begins"),
        ("search_scenes", {"catalog": "moon"}, "it knows by name: sample"),
        ("search_scenes", {"catalog": "http://127.0.0.1:1/stac"}, "Addresses are not opened"),
        ("search_scenes", {"cloud": 10}, "has no parameter 'cloud'; it has: sensor"),
        ("search_scenes", {"sensor": "x" * 1_000_000}, "sensor: string should have at most 200 characters"),
        ("cut_chip", {"size": 10**9}, "size: input should be less than or equal to 1024"),
        ("cut_chip", {"scene": "../../etc/passwd"}, "find it with search_scenes first"),
        ("cut_chip", {"lon": None}, "either lon and lat"),
        ("cut_chip", {"lon": 13.9}, "has no data there"),
        ("cut_chip", {"lon": None, "lat": None, "window": "32633-9999999"}, "it is written such as"),
        ("cut_chip", {"bands": ["B04", "B99"]}, "bands: ['B99'] not among those of the scene"),
        ("show_image", {"image": "../chips/x"}, "there is no image '../chips/x'"),
        ("show_image", {"picture": "x-ray"}, "is not shown as 'x-ray'; it is as true-colour"),
        ("ask_model", {"question": "x" * 5000}, "question: string should have at most 4000 characters"),
        ("ask_model", {"question": " "}, "the question is empty"),
        ("ask_model", {"images": ["nothing-1"]}, "there is no image 'nothing-1'"),
        ("ask_model", {"images": []}, "images: list should have at least 1 item"),
        ("verify_pair", {"chip": "nowhere"}, "neither a chip that cut_chip made"),
        ("verify_pair", {"chip": None}, "either chip"),
        ("steal", {}, "there is no tool 'steal'; there are: search_scenes"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    claude: Assistant, chip: dict[str, Any], tool: str, change: dict[str, Any], says: str
) -> None:
    right: dict[str, dict[str, Any]] = {
        "search_scenes": GROUND,
        "cut_chip": {"scene": chip["scene"], "lon": 12.6, "lat": 52.49, "size": 64, "bands": ["B04"]},
        "show_image": {"image": chip["image"]},
        "ask_model": {"question": "What is it?", "images": [chip["image"]]},
        "verify_pair": {"question": "Is it?", "answer": "yes", "chip": chip["image"]},
    }
    said = claude.refused(tool, **{**right.get(tool, {}), **change})
    assert says in said and len(said) < 700 and "\n" not in said and "pydantic" not in said


def test_an_address_of_no_picture_is_refused_and_the_server_goes_on(claude: Assistant, chip: dict[str, Any]) -> None:
    for address in ("images/../../etc/passwd/x.png", "images/%2e%2e/x.png", f"images/{chip['image']}/x.png", "x"):
        with pytest.raises(MCPError):
            claude.of("read_resource", f"earthloom://{address}")
    limits = json.loads(claude.of("read_resource", "earthloom://model/limits").contents[0].text)
    assert limits["kind"] == "earthdial" and "sample" in limits["catalogs"] and limits["loaded"] in (True, False)


def test_progress_comes_and_a_call_that_is_cancelled_leaves_the_server_free(
    claude: Assistant, chip: dict[str, Any]
) -> None:
    steps: list[tuple[float, float | None, str | None]] = []
    cut = {"scene": chip["scene"], "lon": 12.61, "lat": 52.49, "size": 1024}

    def chips() -> set[str]:
        return {one["image"] for one in claude.ask("list_images")["images"] if one["kind"] == "chip"}

    before = chips()

    async def until_heard() -> None:
        heard = anyio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            steps.append((progress, total, message))
            heard.set()

        async with anyio.create_task_group() as group:

            async def ask() -> None:
                await claude.client.call_tool("cut_chip", cut, progress_callback=hear)

            group.start_soon(ask)
            await heard.wait()
            group.cancel_scope.cancel()

    claude.portal.call(until_heard)
    assert steps and steps[0][1] is not None and steps[0][2]
    # The next chip waits for the catalog, until the thread of the one before has let go of it.
    small = claude.ask("cut_chip", **cut | {"size": 16, "bands": ["B04"]})
    assert chips() - before == {small["image"]}


def test_nothing_but_the_protocol_is_on_stdout_and_the_server_ends_with_its_input(reach: list[str | Path]) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    sent = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "search_scenes", "arguments": GROUND}},
    ]
    command = [sys.executable, "-m", "earthloom", "mcp", *map(str, reach)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(json.dumps(one) + "\n" for one in sent))
        process.stdin.write("this is no JSON\n")
        process.stdin.flush()
        came: list[dict[str, Any]] = []
        while not any(one.get("id") == 2 for one in came):
            came.append(json.loads(process.stdout.readline()))
        rest, _ = process.communicate(timeout=60)
    came += [json.loads(line) for line in rest.splitlines()]
    assert all(one["jsonrpc"] == "2.0" for one in came) and process.returncode == 0
    assert came[0]["result"]["serverInfo"]["name"] == "earthloom"
