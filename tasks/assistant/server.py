"""The MCP server: tools, resources and a prompt, and errors as sentences."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stdout
from functools import partial
from importlib import metadata
from typing import Any

from anyio import to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp_types import CallToolResult, InputRequiredResult
from mcp_types import Resource as ListedResource
from pydantic import ValidationError

from tasks.assistant.addresses import SCHEME
from tasks.assistant.desk import Desk
from tasks.assistant.errors import AssistantError, shown
from tasks.assistant.tools import Tools
from tasks.core.errors import EarthloomError

MOST_SAID = 5
"""Faults of one call's parameters that are named."""
INSTRUCTIONS = (
    "Satellite scenes, chips and a small vision-language model. search_scenes finds scenes, cut_chip cuts a chip out "
    "of one, show_image shows it, ask_model asks the model about chips and files, and verify_pair holds an answer "
    "against what is known of a chip. The model is small: say what it answered as its answer, not as a fact."
)


class AssistantServer(MCPServer[None]):
    """The server: a parameter that is not known is refused, and what is wrong is said in one sentence."""

    def __init__(self, desk: Desk) -> None:
        """A server at a desk."""
        self._tools = {tool.name: tool for tool in Tools(desk).all()}
        self._desk = desk
        super().__init__(
            "earthloom",
            title="Earthloom",
            instructions=INSTRUCTIONS,
            version=metadata.version("earthloom"),
            tools=list(self._tools.values()),
            log_level="WARNING",
            lifespan=_quiet,
        )

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool.

        Raises:
            ToolError: one sentence, in the words of the tool's parameters.
        """
        if name not in self._tools:
            raise ToolError(f"there is no tool {shown(name)}; there are: {', '.join(self._tools)}")
        known = list(self._tools[name].parameters["properties"])
        if unknown := [given for given in arguments if given not in known]:
            raise ToolError(f"{name} has no parameter {shown(unknown[0])}; it has: {', '.join(known) or 'none'}")
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if isinstance(error.__cause__, EarthloomError):
                raise ToolError(str(error.__cause__)) from error.__cause__
            raise
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(_sentence(name, error.__cause__)) from error.__cause__
            raise

    async def list_resources(self) -> list[ListedResource]:
        """The limits of the model, and the plainest picture of each image."""
        images = await to_thread.run_sync(self._desk.library.all)
        pictures = [
            ListedResource(uri=one.picture, name=one.image, title=one.name, mime_type="image/png")
            for one in images.images
        ]
        return [*await super().list_resources(), *pictures]


def make_server(desk: Desk) -> AssistantServer:
    """The server with its resources and its prompt."""
    server = AssistantServer(desk)

    @server.resource(
        SCHEME + "images/{image}/{picture}.png",
        name="picture",
        title="A picture of an image",
        description="PNG of at most 1024 pixels a side; list_images and cut_chip give the addresses",
        mime_type="image/png",
    )
    async def picture(image: str, picture: str) -> bytes:
        try:
            return await to_thread.run_sync(partial(desk.library.picture, image, picture))
        except AssistantError as error:
            raise ResourceNotFoundError(str(error)) from error
        except EarthloomError as error:
            raise ResourceError(str(error)) from error

    @server.resource(
        SCHEME + "model/limits",
        name="limits",
        title="What the model was taught",
        description="as describe_model says it",
        mime_type="application/json",
    )
    def limits() -> str:
        return desk.describe().model_dump_json(indent=2)

    @server.prompt(title="Describe a place")
    def describe_a_place(place: str, time: str = "the last year") -> str:
        """Find a scene of a place, look at it, ask the model, and check what it says."""
        return (
            f"Describe {place} as satellites see it, in {time}. Find its bounding box, search_scenes with little "
            "cloud, cut_chip around its middle, show_image, ask_model what covers it, and verify_pair its answer. Say "
            "what was seen, what the model answered and what the verifier found, each as what it is."
        )

    return server


def _sentence(tool: str, error: ValidationError) -> str:
    """What is wrong with a call's parameters."""
    faults = []
    for fault in error.errors()[:MOST_SAID]:
        where = ".".join(str(part) for part in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        given = "" if fault["type"] == "missing" else f", not {shown(fault['input'])}"
        faults.append(f"{where}: {said[:1].lower()}{said[1:300]}{given}")
    more = error.error_count() - len(faults)
    return f"{tool} cannot be called so: {'; '.join(faults)}{f'; and {more} more' if more > 0 else ''}"


@asynccontextmanager
async def _quiet(_: MCPServer[None]) -> AsyncIterator[None]:
    """What a library prints goes to the log: over stdio, stdout is the protocol's alone."""
    with redirect_stdout(sys.stderr):
        yield None
