"""`earthloom serve`: load a checkpoint, listen, say where."""

import socket
from pathlib import Path
from typing import Literal

from tasks.core import log
from tasks.core.errors import EarthloomError


class ListenError(EarthloomError):
    """The server cannot listen at the address it was given."""


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
    waiting: int = 8,
    most_mb: int = 64,
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
        Address to listen on. There is no authentication: put a proxy before it that has some, if it is not loopback.
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
    waiting
        Questions that may wait while one is answered; further ones are refused with 429.
    most_mb
        Largest request in MiB.
    threads
        CPU threads, 0 for all.
    limits
        Answer what the model was not taught with its limits; --no-limits asks it anyway.
    """
    import torch
    import uvicorn

    from tasks.evaluation.known_limits import limits_of
    from tasks.serving.app import Server, make_app
    from tasks.serving.generation import Generator
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.loading import Loading

    if threads:
        torch.set_num_threads(threads)
    answerer = Answerer(model, device, max_tiles, Loading(dtype, load_in, adapter))
    name = name or str(answerer.model.config.model_type)
    server = Server(Generator(answerer, waiting), name, max_new_tokens, limits_of(model), refuses=limits)
    app = make_app(server, most_mb * 2**20)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ListenError(f"cannot listen on {host}, port {port}: {error}; choose another with --port") from error
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    log.console.print(f"Page:   {url}/\nOpenAI: {url}/v1\nModel:  {name} ({model})\nCtrl-C stops.", soft_wrap=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])
