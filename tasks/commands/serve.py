"""`earthloom serve`: load a checkpoint, listen, say where."""

import math
from pathlib import Path
from typing import Annotated, Literal

import cyclopts

from tasks.core import log
from tasks.earth.picture_files import MOST_PIXELS


def serve(
    *,
    model: Path = Path("data/train/3"),
    adapter: Path | None = None,
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    load_in: Literal["int8", "int4"] | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    max_tiles: int | None = None,
    max_new_tokens: int = 256,
    batch: int = 8,
    waiting: int = 64,
    kept_mb: int = 512,
    most_mb: int = 64,
    most_pixels: int = MOST_PIXELS,
    held_mb: int = 256,
    body_seconds: float = 20,
    header_seconds: float = 10,
    connections: int = 256,
    api_key: Annotated[list[str] | None, cyclopts.Parameter(env_var="EARTHLOOM_API_KEY")] = None,
    allow_host: list[str] | None = None,
    allow_origin: list[str] | None = None,
    grace: float = 20,
    threads: int = 0,
    limits: bool = True,
) -> None:
    """Serve a trained model: an OpenAI-compatible endpoint, and a page to drop an image on and talk.

    Parameters
    ----------
    model
        Folder of a checkpoint: weights, tokenizer and statistics.
    adapter
        Folder of an adapter of peft that was trained on the model, as `earthloom finetune` leaves it.
    dtype
        Numbers the model computes with; as its weights are stored if not given.
    load_in
        Hold the matrices of the language model in 8 or 4 bits, with bitsandbytes.
    host
        Address to listen on. One that others can reach needs --api-key.
    port
        Port to listen on; 0 for a free one.
    name
        What requests call the model; earthdial or rsmoe, after its kind, if not given.
    device
        Where the model runs.
    max_tiles
        Most tiles of a question's images together; as in training if not given.
    max_new_tokens
        Longest answer.
    batch
        Answers that are decoded together.
    waiting
        Questions that may wait while those are answered; further ones are refused with 429.
    kept_mb
        MiB of earlier questions and images that are kept, so that a conversation that goes on is not read anew.
    most_mb
        Largest request in MiB.
    most_pixels
        Largest image in pixels, by its header.
    held_mb
        MiB of requests that are held at a time; further ones are refused with 429 as they come.
    body_seconds
        Seconds that a request's body may pause, or be behind a rate of 32 KiB a second; then it is refused with 408.
    header_seconds
        Seconds that a connection may stay open without a whole header.
    connections
        Connections at a time; further ones are refused with 503.
    api_key
        Key that must come as a bearer token. Several may be given. Others on this machine can read it from the list of
        processes: the environment is the better place.
    allow_host
        Name that the server goes by, as a proxy before it passes it on; localhost and numbers are always allowed.
    allow_origin
        Origin of a page elsewhere that may ask, such as https://maps.example.org.
    grace
        Seconds that answers have to end in, once the server is asked to stop.
    threads
        CPU threads, 0 for all.
    limits
        Answer what the model was not taught with its limits; --no-limits asks it anyway.
    """
    from tasks.serving.listening import address, check_keys, listen
    from tasks.vlm.checkpoint_folder import check_checkpoint

    # What can be said at once is said before the model is loaded, which takes its time.
    check_keys(host, api_key or ())
    check_checkpoint(model)
    listener = listen(host, port)
    import torch
    import uvicorn

    from tasks.evaluation.known_limits import limits_of
    from tasks.serving.app import make_app
    from tasks.serving.connections import bounded
    from tasks.serving.generation import Generator
    from tasks.serving.server import Server, ServerOptions
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.loading import Loading

    if threads:
        torch.set_num_threads(threads)
    answerer = Answerer(model, device, max_tiles, Loading(dtype, load_in, adapter))
    options = ServerOptions(
        name=name or str(answerer.model.config.model_type),
        max_new_tokens=max_new_tokens,
        refuses=limits,
        most_bytes=most_mb * 2**20,
        held_bytes=held_mb * 2**20,
        body_seconds=body_seconds,
        most_pixels=most_pixels,
        keys=tuple(api_key or ()),
        hosts=tuple(allow_host or ()),
        origins=tuple(allow_origin or ()),
    )
    server = Server(
        Generator(answerer, waiting, batch, kept_mb), options, limits_of(answerer.record), lambda: running.should_exit
    )
    config = uvicorn.Config(
        make_app(server),
        http=bounded(connections, header_seconds),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(grace),
    )
    running = uvicorn.Server(config)
    url = address(host, listener)
    log.console.print(
        f"Page:   {url}/\nOpenAI: {url}/v1\nModel:  {options.name} ({model})\nCtrl-C stops.", soft_wrap=True
    )
    running.run(sockets=[listener])
