"""`earthloom mcp`: the project as tools of an assistant, over the Model Context Protocol."""

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

from tasks.core import log

if TYPE_CHECKING:
    from tasks.assistant.desk import Desk


def mcp(
    *,
    model: Path = Path("data/train/3"),
    adapter: Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    load_in: Literal["int8", "int4"] | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    max_tiles: int | None = None,
    max_new_tokens: int = 256,
    images: list[Path] | None = None,
    out: Path = Path("data/assistant"),
    most_mb: int = 2048,
    pairs: list[Path] | None = None,
    http: bool = False,
    host: str = "127.0.0.1",
    port: int = 8001,
    api_key: Annotated[list[str] | None, cyclopts.Parameter(env_var="EARTHLOOM_API_KEY")] = None,
    allow_host: list[str] | None = None,
    allow_origin: list[str] | None = None,
    connections: int = 256,
    grace: float = 20,
    threads: int = 0,
    limits: bool = True,
) -> None:
    """Give an assistant tools: search scenes, cut chips, look at them, ask the model, verify what it says.

    Speaks the Model Context Protocol over standard input and output, as an assistant starts it; over HTTP with --http.

    Parameters
    ----------
    model
        Folder of a checkpoint: weights, tokenizer and statistics. Loaded at the first question.
    adapter
        Folder of an adapter of peft that was trained on the model, as `earthloom finetune` leaves it.
    dtype
        Numbers the model computes with; as its weights are stored if not given.
    load_in
        Hold the matrices of the language model in 8 or 4 bits, with bitsandbytes.
    device
        Where the model runs.
    max_tiles
        Most tiles of a question's images together; as in training if not given.
    max_new_tokens
        Longest answer.
    images
        Folder whose images may be asked about. Several may be given; nothing outside them is opened.
    out
        Folder that chips are written to, and nothing else.
    most_mb
        MiB of all chips together; further ones are refused.
    pairs
        Table of conversations, or folder of them, that pairs are verified against; data/qa if not given.
    http
        Listen for assistants elsewhere, at /mcp, with streamable HTTP.
    host
        Address to listen on. One that others can reach needs --api-key.
    port
        Port to listen on; 0 for a free one.
    api_key
        Key that must come as a bearer token, over HTTP. Others on this machine can read it from the list of processes:
        the environment is the better place.
    allow_host
        Name that the server goes by, as a proxy before it passes it on; localhost and numbers are always allowed.
    allow_origin
        Origin of a page elsewhere that may ask, such as https://maps.example.org.
    connections
        Connections at a time; further ones are refused with 503.
    grace
        Seconds that calls have to end in, once the server is asked to stop.
    threads
        CPU threads, 0 for all.
    limits
        Answer what the model was not taught with its limits; --no-limits asks it anyway.
    """
    from tasks.core.errors import MissingInputError
    from tasks.serving.listening import check_keys
    from tasks.vlm.checkpoint_folder import check_checkpoint

    # What can be said at once is said before a library is loaded, which takes its time.
    if http:
        check_keys(host, api_key or ())
    check_checkpoint(model)
    if missing := [str(folder) for folder in images or () if not folder.is_dir()]:
        raise MissingInputError(f"--images {missing[0]} is not a folder")
    from tasks.assistant.desk import Desk, Reach
    from tasks.assistant.model import ModelOptions
    from tasks.core.section import load
    from tasks.earth.grid import GridParams
    from tasks.earth.scene_windows import ScanParams
    from tasks.scenes import ScenesParams

    scenes = load(ScenesParams, "scenes")
    reach = Reach(
        images=tuple(images or ()),
        out=out,
        pairs=tuple(pairs or (Path("data/qa"),)),
        most_bytes=most_mb * 2**20,
        max_items=scenes.max_items,
        max_wait=scenes.max_wait,
        max_gsd_ratio=load(GridParams, "grid").max_gsd_ratio,
        luminance=load(ScanParams, "scan").luminance,
    )
    asked = ModelOptions(model, device, max_tiles, dtype, load_in, adapter, threads, max_new_tokens, limits)
    desk = Desk(reach, asked)
    out.mkdir(parents=True, exist_ok=True)
    try:
        if http:
            names = (tuple(api_key or ()), tuple(allow_host or ()), tuple(allow_origin or ()))
            _listen(desk, host, port, names, connections, grace)
        else:
            from tasks.assistant.server import make_server

            if sys.stdin.isatty():
                log.console.print("Waits for an assistant on standard input: docs/how-to/assistants.md. Ctrl-C stops.")
            make_server(desk).run("stdio")
    finally:
        desk.close()


def _listen(
    desk: "Desk", host: str, port: int, names: tuple[tuple[str, ...], ...], connections: int, grace: float
) -> None:
    """Serve over HTTP until the process is asked to stop."""
    import uvicorn

    from tasks.assistant.web import web_app
    from tasks.serving.connections import bounded
    from tasks.serving.listening import address, listen

    listener = listen(host, port)
    config = uvicorn.Config(
        web_app(desk, host, *names),
        http=bounded(connections, 10),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace),
    )
    log.console.print(f"MCP: {address(host, listener)}/mcp\nCtrl-C stops.", soft_wrap=True)
    uvicorn.Server(config).run(sockets=[listener])
