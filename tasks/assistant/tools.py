"""The tools: what each takes, in the words an assistant reads, and what it may do."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from mcp.server.mcpserver import Image
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ResourceLink, TextContent, ToolAnnotations
from pydantic import Field

from tasks.assistant.catalogs import Search
from tasks.assistant.chips import LARGEST, SMALLEST, Cut
from tasks.assistant.desk import Desk
from tasks.assistant.images import PLAINEST, described
from tasks.assistant.records import (
    Answered,
    AskedImage,
    Chip,
    Declared,
    Described,
    FoundScenes,
    HeldImages,
    Id,
    OpenedImage,
    Text,
    Verified,
)
from tasks.assistant.work import Asker, on_thread
from tasks.earth.areas import Box
from tasks.earth.sensors import SENSORS

MOST_IMAGES = 16
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
LOOKS_OUTSIDE = ToolAnnotations(read_only_hint=True, open_world_hint=True)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True)
Date = Annotated[str, Field(max_length=40)]
Catalog = Annotated[Id | None, Field(description="name of a catalog of describe_model; the server's own if not given")]
ImageId = Annotated[Id, Field(description="id of an image, from list_images, add_image or cut_chip")]


class Tools:
    """The tools of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def search_scenes(
        self,
        asker: Asker,
        sensor: Annotated[Id, Field(description=f"one of: {', '.join(SENSORS)}")],
        bbox: Annotated[
            Box | None, Field(description="[west, south, east, north] in degrees; west > east crosses 180 degrees")
        ] = None,
        place: Annotated[
            dict[str, Any] | None,
            Field(description="in the place of bbox: a GeoJSON geometry, Feature or FeatureCollection in lon/lat"),
        ] = None,
        start: Annotated[
            Date | None, Field(description="first day, month or year, such as 2017-02; open without")
        ] = None,
        end: Annotated[Date | None, Field(description="last day, month or year, all of it; open without")] = None,
        max_cloud: Annotated[
            float | None, Field(ge=0, le=100, description="percent of a scene; one that does not say is kept")
        ] = None,
        catalog: Catalog = None,
        limit: Annotated[int, Field(ge=1, le=200, description="scenes that are listed")] = 20,
    ) -> FoundScenes:
        """Find satellite scenes of one sensor in an area and time. Their ids go to cut_chip."""
        asked = Search(sensor, bbox, place, start, end, max_cloud, catalog, limit)
        return await on_thread(asker, lambda job: self.desk.catalogs.search(asked, job))

    async def cut_chip(
        self,
        asker: Asker,
        scene: Annotated[Id, Field(description="id of a scene that search_scenes found")],
        collection: Annotated[Id | None, Field(description="of the scene; needed where two have its id")] = None,
        lon: Annotated[float | None, Field(ge=-180, le=180, description="of the middle, degrees")] = None,
        lat: Annotated[float | None, Field(ge=-90, le=90, description="of the middle, degrees")] = None,
        size: Annotated[int, Field(ge=SMALLEST, le=LARGEST, description="pixels along a side")] = 256,
        window: Annotated[
            Id | None, Field(description="in the place of lon, lat and size: id of a window of the data set's grid")
        ] = None,
        bands: Annotated[
            list[Id] | None, Field(max_length=512, description="names of bands; all of the scene if not given")
        ] = None,
        catalog: Catalog = None,
    ) -> Annotated[CallToolResult, Chip]:
        """Cut a square chip out of a scene: calibrated pixels on the data set's grid, a GeoTIFF and PNG pictures."""
        asked = Cut(scene, collection, catalog, lon, lat, size, window, bands)
        chip = await on_thread(asker, lambda job: self.desk.chips.cut(asked, job))
        links = [
            ResourceLink(type="resource_link", uri=uri, name=uri.rsplit("/", 1)[1], mime_type="image/png")
            for uri in chip.pictures
        ]
        text = TextContent(type="text", text=chip.model_dump_json(indent=2))
        return CallToolResult(content=[text, *links], structured_content=chip.model_dump(mode="json"))

    async def list_images(self, asker: Asker) -> HeldImages:
        """List the images that can be asked about: chips that were cut, and files of the folders of this server."""
        return await on_thread(asker, lambda _: self.desk.library.all())

    async def add_image(
        self,
        asker: Asker,
        path: Annotated[
            str, Field(min_length=1, max_length=1000, description="relative, below a folder the server was given")
        ],
        sensor: Annotated[Id | None, Field(description="that took it, where the file does not say")] = None,
    ) -> OpenedImage:
        """Open an image file, say what it is taken for, and give it an id to ask about."""

        def opened() -> OpenedImage:
            held = self.desk.library.add(path)
            return described(held, self.desk.library.open(held, said=Declared(sensor=sensor)))

        return await on_thread(asker, lambda _: opened())

    async def show_image(
        self,
        asker: Asker,
        image: ImageId,
        picture: Annotated[
            Id, Field(description="how: true-colour, false-colour, radar, ... or the plainest")
        ] = PLAINEST,
    ) -> Image:
        """Look at an image: a PNG of at most 1024 pixels a side, for assistants that do not read resources."""
        png = await on_thread(asker, lambda _: self.desk.library.picture(image, picture))
        return Image(data=png, format="png")

    async def ask_model(
        self,
        asker: Asker,
        question: Annotated[Text, Field(description="in English; may begin with a task tag such as [refer]")],
        images: Annotated[
            list[AskedImage],
            Field(
                min_length=1, max_length=MOST_IMAGES, description="in the order of their dates where there are several"
            ),
        ],
    ) -> Answered:
        """Ask the vision-language model about images. It is small and fallible: describe_model says what it was
        taught and how often it is right; verify_pair checks an answer about a chip."""
        return await self.desk.model.ask(asker, question, images)

    async def verify_pair(
        self,
        asker: Asker,
        question: Text,
        answer: Text,
        chip: Annotated[Id | None, Field(description="id of a chip that was cut here, or of the data set")] = None,
        conversation: Annotated[Id | None, Field(description="in its place: id of a row of the data set")] = None,
    ) -> Verified:
        """Hold a question and its answer against the facts of a chip: supported, contradicted or not checkable."""
        return await on_thread(asker, lambda _: self.desk.verifier.verify(question, answer, chip, conversation))

    async def describe_model(self) -> Described:
        """What the model was taught, how it scores beside its controls, and what this server can reach."""
        return self.desk.describe()

    def all(self) -> list[Tool]:
        """As they are registered. A parameter that is not known is refused, and the schema says so."""
        return [
            _tool(self.search_scenes, "Search scenes", LOOKS_OUTSIDE),
            _tool(self.cut_chip, "Cut a chip", WRITES),
            _tool(self.list_images, "List images", LOOKS),
            _tool(self.add_image, "Add an image", ADDS),
            _tool(self.show_image, "Show an image", LOOKS),
            _tool(self.ask_model, "Ask the model", LOOKS),
            _tool(self.verify_pair, "Verify a pair", LOOKS),
            _tool(self.describe_model, "Describe the model", LOOKS),
        ]


def _tool(function: Callable[..., Awaitable[Any]], title: str, annotations: ToolAnnotations) -> Tool:
    tool = Tool.from_function(function, title=title, annotations=annotations)
    tool.parameters["additionalProperties"] = False
    return tool
