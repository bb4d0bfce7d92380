"""The model: loaded at the first question, once; answers come one after the other."""

import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tasks.assistant.errors import AssistantError
from tasks.assistant.images import Library
from tasks.assistant.records import Answered, AskedImage, TakenImage
from tasks.assistant.work import Asker, Job, on_thread
from tasks.evaluation.known_limits import limits_of
from tasks.vlm.checkpoint_folder import check_checkpoint
from tasks.vlm.limits import Limits

if TYPE_CHECKING:  # torch takes seconds to import, and an assistant waits for a server to start
    from tasks.serving.generation import Generator
    from tasks.vlm.answerer import Answerer
    from tasks.vlm.chat import Conversation
    from tasks.vlm.image_file import ImageFile
    from tasks.vlm.network import Ask

WAITING = 16
"""Questions that may wait; further ones are refused."""


@dataclass(frozen=True)
class ModelOptions:
    """How the model is loaded and asked."""

    checkpoint: Path
    device: Literal["cpu", "cuda"] = "cpu"
    max_tiles: int | None = None
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    load_in: Literal["int8", "int4"] | None = None
    adapter: Path | None = None
    threads: int = 0
    """Of the CPU, 0 for all."""
    max_new_tokens: int = 256
    refuses: bool = True
    """Whether what it was not taught is answered with its limits."""


class Model:
    """A checkpoint that answers."""

    def __init__(self, options: ModelOptions, library: Library) -> None:
        """Nothing is loaded yet.

        Raises:
            EarthloomError: the folder is no checkpoint.
        """
        self.kind = check_checkpoint(options.checkpoint)
        self.options, self.library = options, library
        self.limits: Limits | None = limits_of(options.checkpoint)
        self._generator: Generator | None = None
        self._loading = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether a question was asked."""
        return self._generator is not None

    def close(self) -> None:
        """Answer nothing any more."""
        if self._generator is not None:
            self._generator.drain(0)

    async def ask(self, asker: Asker, question: str, images: Sequence[AskedImage]) -> Answered:
        """The answer to a question about images.

        Raises:
            EarthloomError: an image cannot be opened, or the question cannot be asked; the model does not answer.
        """
        generator = await on_thread(asker, self._load)
        from tasks.serving.generation import Generated, Sampling
        from tasks.serving.images import prepare

        async with generator.place():
            conversation = await on_thread(asker, lambda job: self._opened(generator.answerer, question, images, job))
            shown = [_taken(image) for image in conversation.images]
            if refused := conversation.refusal(self.limits if self.options.refuses else None):
                return Answered(
                    answer=refused, finish="stop", outside_limits=True, boxes=None, images=shown, model=self.kind
                )
            most = self.options.max_new_tokens
            ask: Ask = await on_thread(asker, lambda _: prepare(generator.answerer, conversation, most))
            done = Generated(prompt_tokens=ask.prompt.tokens)
            texts = []
            # A call that is cancelled closes the answer, which gives its place back.
            async with aclosing(generator.answer(ask, Sampling(most), done, _never)) as coming:
                async for text in coming:
                    texts.append(text)
                    await asker.report_progress(done.answer_tokens, most, "answering")
        answer = "".join(texts).strip()
        if not answer:
            raise AssistantError("the model gave an empty answer; ask in another way")
        boxes = conversation.boxes(answer, generator.answerer.box_form)
        return Answered(
            answer=answer, finish=done.finish, outside_limits=False, boxes=boxes, images=shown, model=self.kind
        )

    def _load(self, job: Job) -> "Generator":
        with self._loading:
            if self._generator is None:
                job.step(0, 1, "loading the model")
                import torch

                from tasks.serving.generation import Generator
                from tasks.vlm.answerer import Answerer
                from tasks.vlm.loading import Loading

                options = self.options
                if options.threads:
                    torch.set_num_threads(options.threads)
                loading = Loading(options.dtype, options.load_in, options.adapter)
                answerer = Answerer(options.checkpoint, options.device, options.max_tiles, loading)
                self._generator = Generator(answerer, WAITING, batch=1)
            return self._generator

    def _opened(self, answerer: "Answerer", question: str, images: Sequence[AskedImage], job: Job) -> "Conversation":
        from tasks.vlm.chat import Conversation

        held = [self.library.find(one.image) for one in images]
        opened: list[ImageFile] = []
        for number, (one, said) in enumerate(zip(held, images, strict=True)):
            job.step(number, len(held), f"opening {one.name}")
            opened.append(self.library.open(one, answerer, said, job.cancelled))
        conversation = Conversation()
        conversation.ask(question, opened)
        return conversation


def _taken(image: "ImageFile") -> TakenImage:
    return TakenImage(
        name=image.name,
        sensor=image.sensor.name,
        recognised=image.recognised.by,
        note=image.note or None,
        bands=list(image.planes),
        datetime=image.date.isoformat() if image.date else None,
    )


async def _never() -> bool:
    return False
