"""`earthloom serve`: load a checkpoint, listen, say where."""

import socket
from pathlib import Path

import torch

from tasks.core import log
from tasks.core.errors import EarthloomError
from tasks.serving.app import Server, make_app
from tasks.serving.generation import Generator
from tasks.vlm.answerer import Answerer


class ListenError(EarthloomError):
    """The server cannot listen at the address it was given."""


def serve(
    checkpoint: Path,
    *,
    host: str,
    port: int,
    name: str,
    device: str,
    max_tiles: int | None,
    max_new_tokens: int,
    waiting: int,
    most_mb: int,
    threads: int,
) -> None:
    """Serve a checkpoint until Ctrl-C.

    Args:
        checkpoint: folder of weights, tokenizer and statistics.
        host: address to listen on.
        port: 0 for a free one.
        name: what the model is called in requests.
        device: cpu or cuda.
        max_tiles: most tiles of a question's images; None for what it was trained with.
        max_new_tokens: longest answer.
        waiting: questions that may wait while one is answered.
        most_mb: largest request in MiB.
        threads: CPU threads, 0 for all.

    Raises:
        ListenError: the address is taken, or not this machine's.
        EarthloomError: the folder is not a checkpoint.
    """
    import uvicorn

    if threads:
        torch.set_num_threads(threads)
    answerer = Answerer(checkpoint, device, max_tiles)
    app = make_app(Server(Generator(answerer, waiting), name, max_new_tokens), most_mb * 2**20)
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise ListenError(f"cannot listen on {host}, port {port}: {error}; choose another with --port") from error
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    log.console.print(f"Page:   {url}/\nOpenAI: {url}/v1\nModel:  {name} ({checkpoint})\nCtrl-C stops.", soft_wrap=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])
