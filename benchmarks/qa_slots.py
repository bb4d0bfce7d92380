"""How busy the slots of a model server are kept: `python -m benchmarks.qa_slots [--slots 32] [--latency 0.2]`.

A real server on loopback, in a process of its own, answers every request after a fixed time. Busy is the time that its
answers took, by its own clock, by the time for which as many slots were there: 1 would be a client that takes no time.
The first and the last requests, while slots fill and drain, count too. The peer asks the same with the plain client, a
semaphore and `gather`, and does nothing with the answers. Other work on the machine lowers both.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import openai
import yaml

from tasks.dialogue.facts import ChipFacts, Label, SourceInfo
from tasks.dialogue.verifier import judge
from tasks.generators.params import ModelParams
from tasks.generators.served import ServedGenerator

ROOT = Path(__file__).resolve().parents[1]
MODEL = "Test/Model-1B"
LEAST = 0.95


class _Server(asyncio.Protocol):
    """As little of a server as will do, so that the processor is the client's: HTTP/1.1, one request after another."""

    busy, asked, latency, body = 0.0, 0, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.read = transport, b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, blank, rest = self.read.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not blank or len(rest) < (int(length[1]) if length else 0):
            return
        self.read = b""
        if head.startswith(b"GET"):
            self._answer(json.dumps({"data": [{"id": MODEL}]}).encode())
        elif rest.count(b'"role"') == 1:  # what the server is asked at start
            self._answer(_Server.body)
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(_Server.latency, self._count, loop, loop.time())

    def _count(self, loop: asyncio.AbstractEventLoop, begun: float) -> None:
        _Server.busy += loop.time() - begun
        _Server.asked += 1
        self._answer(_Server.body)

    def _answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)  # type: ignore[attr-defined]


def _serve(latency: float, pipe: Connection) -> None:
    from tests.fixtures.model_server import completion, pairs_text

    asked = [("Is there any tree cover in this image?", "Yes."), ("Is there any water in this image?", "No.")]
    _Server.latency, _Server.body = latency, json.dumps(completion(pairs_text(*asked))).encode()

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Server, "127.0.0.1", 0)
        pipe.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        while await loop.run_in_executor(None, pipe.recv) == "read":
            pipe.send((_Server.busy, _Server.asked))

    asyncio.run(forever())


def _chips(count: int) -> Iterator[ChipFacts]:
    source = SourceInfo("cover", "raster", True, ("tree cover", "cropland", "water"))
    labels = tuple(
        Label(name, "cover", "area", share, None, None) for name, share in (("tree cover", 0.6), ("cropland", 0.4))
    )
    for number in range(count):
        yield ChipFacts(f"chip-{number}", "any", labels, {"cover": source})


def _ours(url: str, slots: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())["qa"]["model"]
        own = {"url": url, "name": MODEL, "cache": folder, "pictures": 0, "in_flight": slots}
        params = ModelParams.model_validate({**values, **own})
        generator = ServedGenerator(params, 0, lambda _: 2, lambda _: (), lambda *_: ())
        written = sum(len(one.judged) for one in generator.generate(_chips(count), judge))
        assert written == 2 * count


def _plain(url: str, slots: int, count: int) -> None:
    async def ask(client: openai.AsyncOpenAI, free: asyncio.Semaphore) -> None:
        async with free:
            words = [{"role": "system", "content": "x" * 3000}, {"role": "user", "content": "x" * 300}]
            await client.chat.completions.create(model=MODEL, messages=words, seed=1)  # type: ignore[arg-type]

    async def all_of_them() -> None:
        free = asyncio.Semaphore(slots)
        async with openai.AsyncOpenAI(api_key="none", base_url=url) as client:
            await asyncio.gather(*(ask(client, free) for _ in range(count)))

    asyncio.run(all_of_them())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--chips", type=int, default=3000)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipe, others_end = context.Pipe()
    process = context.Process(target=_serve, args=(options.latency, others_end))
    process.start()
    try:
        url = pipe.recv()

        def busy(run: Callable[[str, int, int], None]) -> tuple[float, float]:
            """Share of the slots' time, and milliseconds of the processor that a request costs here."""
            run(url, options.slots, 2 * options.slots)  # imports, connections
            before, begun, used = _read(pipe), time.monotonic(), time.process_time()
            run(url, options.slots, options.chips)
            wall, used, after = time.monotonic() - begun, time.process_time() - used, _read(pipe)
            return (after[0] - before[0]) / (wall * options.slots), 1000 * used / (after[1] - before[1])

        (ours, cost), (plain, its_cost) = busy(_ours), busy(_plain)
        print(f"{options.slots} slots, answers after {options.latency * 1000:.0f} ms, {options.chips} chips")
        print(
            f"busy {ours:.3f}, {cost:.1f} ms of the processor a request, prompts, reading, judging and cache included"
        )
        print(f"plain client: busy {plain:.3f}, {its_cost:.1f} ms; ratio {ours / plain:.2f}")
        print(f"{LEAST} is {'reached' if ours >= LEAST else 'not reached'}")
    finally:
        pipe.send("end")
        process.join()


def _read(pipe: Connection) -> tuple[float, int]:
    pipe.send("read")
    found: tuple[float, int] = pipe.recv()
    return found


if __name__ == "__main__":
    main()
