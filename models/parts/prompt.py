"""The text the model sees, token by token: the same function for training, evaluation and chat.

Phi-3's chat layout (spec of EarthDial, section 1.3) or, for networks with another language model, ChatML, with our own
system prompt. Every span between two
special tokens is tokenised by itself, so which tokens are the assistant's is known exactly and not guessed
from offsets.
"""

import itertools
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

SYSTEM = "You are Earthloom, an assistant for Earth observation."
IMAGE = "<image>"
IMAGE_START, IMAGE_END, IMAGE_CONTEXT = "<img>", "</img>", "<IMG_CONTEXT>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
END, PAD = "<|end|>", "<|endoftext|>"
CONTROL_TOKENS = (PAD, END, *ROLES, IMAGE_START, IMAGE_END, IMAGE_CONTEXT)
"""Tokens that steer the model and never belong to an answer: left out when an answer is decoded."""
MARKUP_TOKENS = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<mb>", "</mb>")
"""Tokens that belong to answers: what is referred to, its box, its four corners, several boxes (spec, section 1.4).
EarthDial registers them as special and so loses them when it decodes."""
IGNORED = -100
"""Label of a token that no loss is taken on."""
LEADING_TAG = re.compile(r"\s*(\[[^\]\s]+\])")
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|system|>\n" + SYSTEM + "<|end|>{% endif %}"
    "{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""The same layout for transformers' `apply_chat_template`."""

Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class ChatLayout:
    """What stands around the turns of a conversation."""

    system: str
    user: str
    assistant: str
    end: str
    between: str = ""
    """After the end of a turn, before the next."""
    control: tuple[str, ...] = CONTROL_TOKENS
    """Tokens that steer the model in it."""


_IMAGES = (IMAGE_START, IMAGE_END, IMAGE_CONTEXT)
_CHATML = ("<|im_start|>", "<|im_end|>")
PHI3 = ChatLayout("<|system|>\n", "<|user|>\n", "<|assistant|>\n", END)
CHATML = ChatLayout(
    "<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>", "\n", (*_CHATML, *_IMAGES)
)
LAYOUTS = {
    "phi3": PHI3,
    "chatml": CHATML,
    # InternLM2, which is a Llama, was trained with the token of a beginning before all.
    "chatml-bos": replace(CHATML, system=f"<s>{CHATML.system}", control=(*CHATML.control, "<s>")),
}
"""By the name that `chat_layout` of a configuration has."""


def layout_of(config: Any) -> ChatLayout:
    """The layout that a network's configuration names; Phi-3's where it names none."""
    return LAYOUTS[getattr(config, "chat_layout", "phi3")]


class PromptError(ValueError):
    """A conversation that cannot be shown to the model as it stands."""


class Tokenizer(Protocol):
    """What is needed of a tokenizer of transformers."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Ids of `text`."""
        ...


@dataclass(frozen=True)
class Encoded:
    """Token ids and, one for each, the label: the same id for the assistant's tokens, `IGNORED` for all
    others.
    """

    ids: list[int]
    labels: list[int]

    @property
    def targets(self) -> int:
        """Number of tokens a loss is taken on."""
        return sum(label != IGNORED for label in self.labels)


def spans(
    turns: Turns, system: str = SYSTEM, learned: Sequence[bool] | None = None, layout: ChatLayout = PHI3
) -> list[tuple[str, bool]]:
    """(text, whether a loss is taken on it) of a conversation. An empty last answer leaves it open, to be
    generated; of the answers those are learned that `learned` names, or all.
    """
    out = [(f"{layout.system}{system}{layout.end}", False)]
    for number, (question, answer) in enumerate(turns):
        asked = f"{layout.between}{layout.user}{question}{layout.end}{layout.between}{layout.assistant}"
        out.append((asked, False))
        if answer:
            out.append((f"{answer}{layout.end}", learned is None or learned[number]))
        elif number + 1 < len(turns):
            raise PromptError(f"answer {number + 1} of {len(turns)} is empty; only the last may be left open")
    return out


def render(turns: Turns, system: str = SYSTEM, layout: ChatLayout = PHI3) -> str:
    """The conversation as one text, images as `<image>`; open for an answer if the last one is empty."""
    return "".join(text for text, _ in spans(turns, system, layout=layout))


def image_tags(shown: Sequence[tuple[str, str]], of_dates: Mapping[str, str]) -> tuple[str, ...]:
    """The tags of the images of one question: of several with one tag that tag's form for several dates, else each tag
    once, in the order of the sensors and not of the images: which image is whose is to be seen.

    Args:
        shown: of each image its sensor, and its tag as if it were alone.
        of_dates: tag of one image -> tag of several dates; one that is not there stands for itself.
    """
    tags = tuple(dict.fromkeys(tag for _, tag in sorted(shown)))
    return (of_dates.get(tags[0], tags[0]),) if len(tags) == 1 < len(shown) else tags


def headed(question: str, tags: Sequence[str], images: int, known: Container[str]) -> str:
    """A question with its tags and `<image>` in front, as the conversations of training have them.

    Args:
        question: may begin with tags, such as that of a task: they stay first.
        tags: of its images, as `image_tags` gives them.
        images: how many stand before the question.
        known: what counts as a tag.
    """
    own, rest = [], question.strip()
    while (match := LEADING_TAG.match(rest)) and match[1] in known:
        own.append(match[1])
        rest = rest[match.end() :].lstrip()
    sensors = [tag for tag in dict.fromkeys(tags) if tag not in own]
    return f"{' '.join([*own, *sensors, *[IMAGE] * images])}\n{rest}"


def show_images(
    turns: Turns, tokens_per_image: Sequence[int], control: Sequence[str] = CONTROL_TOKENS
) -> list[tuple[str, str]]:
    """Turns with each `<image>` written out as `<img>`, its `<IMG_CONTEXT>` tokens, `</img>`.

    One image that no turn mentions is put before the first question, as EarthDial does.

    Raises:
        PromptError: placeholders and images differ in number, or a text holds one of the `control` tokens: it would end
            its own turn, speak for the assistant, or ask for an image that is not there.
    """
    for token, text in itertools.product(control, itertools.chain.from_iterable(turns)):
        if token in text:
            raise PromptError(f"a text holds {token}, which steers the model and is no text: {text[:60]!r}")
    placeholders = sum(question.count(IMAGE) for question, _ in turns)
    if placeholders == 0 and len(tokens_per_image) == 1:
        turns, placeholders = [(f"{IMAGE}\n{turns[0][0]}", turns[0][1]), *turns[1:]], 1
    if placeholders != len(tokens_per_image):
        raise PromptError(f"{placeholders} {IMAGE} in the text, but {len(tokens_per_image)} images are given")
    waiting = iter(tokens_per_image)
    shown = []
    for question, answer in turns:
        if IMAGE in answer:
            raise PromptError(f"an answer holds {IMAGE}: {answer[:60]!r}")
        head, *tails = question.split(IMAGE)
        for tail in tails:
            head += f"{IMAGE_START}{IMAGE_CONTEXT * next(waiting)}{IMAGE_END}{tail}"
        shown.append((head, answer))
    return shown


def encode(
    tokenizer: Tokenizer,
    turns: Turns,
    tokens_per_image: Sequence[int],
    system: str = SYSTEM,
    learned: Sequence[bool] | None = None,
    layout: ChatLayout = PHI3,
) -> Encoded:
    """Tokens and labels of a conversation; with an empty last answer, the prompt to generate it from.

    Args:
        tokenizer: knows the control tokens of the layout, each as one token.
        turns: (question, answer), images as `<image>`.
        tokens_per_image: visual tokens of each image, in order.
        system: the system prompt.
        learned: whether a loss is taken on each turn's answer; on all of them if None.
        layout: of the chat that the language model was trained on.

    Raises:
        PromptError: images and placeholders differ in number, a text holds a control token, or a complete conversation
            has nothing to learn.
    """
    for token in layout.control:
        if token in system:
            raise PromptError(f"the system prompt holds {token}, which steers the model and is no text")
    ids: list[int] = []
    labels: list[int] = []
    for text, taught in spans(show_images(turns, tokens_per_image, layout.control), system, learned, layout):
        new = tokenizer.encode(text, add_special_tokens=False)
        ids += new
        labels += new if taught else [IGNORED] * len(new)
    encoded = Encoded(ids, labels)
    if encoded.targets == 0 and (not turns or turns[-1][1]):
        raise PromptError("no token of the conversation is the assistant's, so there is nothing to learn from it")
    return encoded
