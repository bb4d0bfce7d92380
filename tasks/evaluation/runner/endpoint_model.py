"""A model behind an OpenAI-compatible endpoint. Images go as PNG in data URLs; bands beyond true colour cannot.

What passes by itself (an overload, a lost connection) is tried again, after as long as the server asks for
(`Retry-After`), and in the end stops the run, which the same command goes on with. A question that the server refuses
is rejected: it would be refused again.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, cast

import openai
from openai.types.chat import ChatCompletionMessageParam

from tasks.core.data_url import png_url
from tasks.core.errors import UnaskableError
from tasks.earth.display_sensors import PICTURE
from tasks.evaluation.runner.questions import Answer, BenchmarkQuestion, QuestionImage, RunError
from tasks.evaluation.runner.rgb_model import RgbModel, pictures_of, text_of, without_tags

KEY = "OPENAI_API_KEY"
REFUSALS = 20
"""So many refused questions at the beginning, and no answer among them, are no matter of the questions."""
SECONDS = 600.0
"""That an answer may take."""


@dataclass(frozen=True)
class EndpointSettings:
    """How an endpoint is asked."""

    max_new_tokens: int = 256
    together: int = 8
    """Questions on their way at once."""
    box_form: str = "earthdial"
    """The form the model writes boxes in, as far as the question tells it."""
    tags: bool = False
    """Whether questions keep EarthDial's tags."""
    sensors: bool = False
    """Whether the sensor is named beside each image, as `earthloom serve` wants it and others refuse it."""
    retries: int = 8


class Endpoint(RgbModel):
    """One of `tasks.evaluation.runner.questions.Model`."""

    def __init__(self, url: str, name: str, settings: EndpointSettings) -> None:
        """Say where the model is.

        Args:
            url: up to `/v1`.
            name: the model's, in requests.
            settings: how it is asked. The key is taken from the environment alone, `OPENAI_API_KEY`.
        """
        super().__init__(settings.box_form)
        self.url, self.name, self.settings = url, name, settings
        key = os.environ.get(KEY) or "none"
        self.client = openai.OpenAI(base_url=url, api_key=key, max_retries=settings.retries, timeout=SECONDS)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The model's name and the settings; not where it is served."""
        return {
            "kind": "endpoint",
            "model": self.name,
            "max_new_tokens": self.settings.max_new_tokens,
            "boxes": self.box_form,
            "tags": self.settings.tags,
            "images": "PNG of 8 bits, in true colour: other bands are not shown",
        }

    def answer(self, questions: Iterable[BenchmarkQuestion]) -> Iterator[Answer]:
        """Answers as they come, so many questions on their way at once."""
        ended = answered = 0
        with ThreadPoolExecutor(self.settings.together) as pool:
            running: set[Future[Answer]] = set()
            waiting = iter(questions)
            following = next(waiting, None)
            try:
                while following is not None or running:
                    while following is not None and len(running) < self.settings.together:
                        running.add(pool.submit(self._ask, following))
                        following = next(waiting, None)
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for answer in (future.result() for future in done):
                        ended, answered = ended + 1, answered + (answer.rejected != "refused")
                        if ended == REFUSALS and not answered:
                            raise RunError(f"{self.url} refused each of the first {ended} questions: {answer.detail}")
                        yield answer
            finally:
                for future in running:
                    future.cancel()

    def _ask(self, question: BenchmarkQuestion) -> Answer:
        given = text_of(question)
        text = given if self.settings.tags else without_tags(given)
        try:
            content = [*self._images(question), {"type": "text", "text": text}]
            message = cast(ChatCompletionMessageParam, {"role": "user", "content": content})
            reply = self.client.chat.completions.create(
                model=self.name,
                messages=[message],
                max_completion_tokens=self.settings.max_new_tokens,
                temperature=0,
            )
        except UnaskableError as error:
            return Answer.refused(question.number, error)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            return Answer(question.number, text, rejected="refused", detail=error.message)
        except openai.APIStatusError as error:
            if error.status_code == 413:
                return Answer(question.number, text, rejected="refused", detail=error.message)
            raise RunError(self._failed(f"{error.status_code}, {error.message}")) from error
        except openai.APIError as error:
            raise RunError(self._failed(error.message)) from error
        if not reply.choices:
            raise RunError(self._failed("an answer without a choice"))
        choice = reply.choices[0]
        stop = "length" if choice.finish_reason == "length" else "end"
        tokens = reply.usage.prompt_tokens if reply.usage else None
        return Answer(question.number, text, (choice.message.content or "").strip(), stop, tokens)

    def _failed(self, why: str) -> str:
        return f"{self.url}: {why}. What has been answered is kept: the same command goes on from here"

    def _images(self, question: BenchmarkQuestion) -> list[dict[str, Any]]:
        content = []
        for image, picture in zip(question.images, pictures_of(question), strict=False):  # no picture without images
            url = {"url": png_url(picture)}
            if self.settings.sensors:
                url["sensor"] = rendering(image)
            content.append({"type": "image_url", "image_url": url})
        return content


def rendering(image: QuestionImage) -> str:
    """The sensor of the picture that an image is sent as."""
    kind = image.kind()
    return kind.sensor.name if set(kind.stored) == set(kind.sensor.rgb or ()) and kind.scale == 1 else PICTURE.name
