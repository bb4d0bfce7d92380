"""A conversation as it stands in a row, to turns that training can use: opened, checked, its small defects repaired.

The layout is in the specification of EarthDial, sections 1.3, 1.4 and 3.3; the defects in sections 1.4 and 6.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tasks.dialogue import boxes
from tasks.dialogue.conversations import IMAGE, TAGS, TASK_TAGS
from tasks.earth.display_sensors import SENSOR_TAGS
from tasks.published.registry import Published
from tasks.published.repairs import Notes, RowError

MAX_NESTING = 8
"""JSON strings inside JSON that are opened; the published data has two."""
SPEAKERS = {"human": "human", "gpt": "gpt", "user": "human", "assistant": "gpt"}
TAG = re.compile(r"\[[A-Za-z][A-Za-z0-9_.]*\]")
HEAD = re.compile(rf"\s*({TAG.pattern}|{IMAGE})")
STRAY_QUOTE = re.compile(r'"\s*(?=Answer in )')
BOXES = re.compile(r"\[\[.*?\]\]+")
Turns = list[tuple[str, str]]


def open_conversation(raw: Any, entry: Published, notes: Notes) -> list[Any]:
    """The list of turns behind strings, nested strings and objects.

    Raises:
        RowError: missing-text, not-json, not-a-conversation or empty-conversation.
    """
    value, strings, unwrapped = raw, 0, False
    for _ in range(MAX_NESTING):
        if isinstance(value, str):
            strings += 1
            value = _parse(value, notes)
        elif isinstance(value, Mapping) and "conversations" in value:
            unwrapped = True
            value = value["conversations"]
        else:
            break
    if value is None:
        raise RowError("missing-text", "the row has no conversation")
    if not isinstance(value, list):
        raise RowError("not-a-conversation", f"a list of turns is needed, found {type(value).__name__}")
    if not value:
        raise RowError("empty-conversation", "the conversation is an empty list")
    if strings > 1:
        notes.repair("nested-json")
    if unwrapped and not entry.wrapped:
        notes.repair("wrapped-object")
    return value


def _parse(text: str, notes: Notes) -> Any:
    if not text.strip():
        raise RowError("missing-text", "the conversation is an empty text")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        try:
            value = json.loads(text, strict=False)
        except json.JSONDecodeError:
            raise RowError("not-json", f"{error} in {text[:60]!r}") from error
    notes.repair("control-character")
    return value


def pair_turns(turns: list[Any], notes: Notes) -> Turns:
    """(question, answer) pairs, line breaks and quotes repaired.

    Raises:
        RowError: not-a-conversation, wrong-speaker, odd-turns or empty-turn.
    """
    spoken = [_turn(turn, number, notes) for number, turn in enumerate(turns, 1)]
    speakers = [speaker for speaker, _ in spoken]
    expected = [("human", "gpt")[index % 2] for index in range(len(speakers))]
    if speakers != expected:
        raise RowError("wrong-speaker", f"human and gpt must alternate, got {', '.join(speakers)}")
    if len(spoken) % 2:
        if len(spoken) == 1:
            raise RowError("odd-turns", "one question and no answer")
        notes.repair("unanswered-question")
        spoken.pop()
    values = [_clean(value, notes) for _, value in spoken]
    empty = [number for number, value in enumerate(values, 1) if not value]
    if empty:
        raise RowError("empty-turn", f"turn {empty[0]} of {len(values)} has no text")
    return list(zip(values[::2], values[1::2], strict=True))


def _turn(turn: Any, number: int, notes: Notes) -> tuple[str, str]:
    if not isinstance(turn, Mapping) or not isinstance(turn.get("value"), str) or "from" not in turn:
        raise RowError("not-a-conversation", f"turn {number} has no `from` with a text `value`: {str(turn)[:60]}")
    said = str(turn["from"])
    speaker = SPEAKERS.get(said.strip().lower())
    if speaker is None:
        raise RowError("wrong-speaker", f"turn {number} is said by {said!r}, not by human or gpt")
    if speaker != said:
        notes.repair("speaker-name")
    return speaker, turn["value"]


def _clean(value: str, notes: Notes) -> str:
    if "\\n" in value:
        notes.repair("escaped-newline")
        value = value.replace("\\n", "\n")
    if value.count('"') % 2 and STRAY_QUOTE.search(value):
        notes.repair("stray-quote")
        value = STRAY_QUOTE.sub(" ", value, count=1)
    return value.strip()


def set_head(turns: Turns, images: int, entry: Published, notes: Notes) -> tuple[Turns, str]:
    """The first question with the right tags and one `<image>` an image before it, and the name of the task.

    White space between tags is made one blank, and one line break ends them, as in our own conversations; their
    order stays.

    Raises:
        RowError: image-slots, image-in-answer, unknown-tag or empty-turn.
    """
    tags, body = _split_head(turns[0][0], entry)
    rest = [question for question, _ in turns[1:]]
    _check_slots([turns[0][0], *rest], [answer for _, answer in turns], images, notes)
    if images == 1:
        body, rest = body.replace(IMAGE, " ").strip(), [question.replace(IMAGE, " ").strip() for question in rest]
    inline = body.count(IMAGE) + sum(question.count(IMAGE) for question in rest)
    unknown = [tag for tag in tags if tag not in TAGS]
    if unknown:
        raise RowError("unknown-tag", f"{unknown[0]} is no tag; known: {', '.join(TAGS)}")
    tags = _right_tags(tags, entry, notes)
    rest = [_retag(question, entry, notes) for question in rest]
    if not body or not all(rest):
        raise RowError("empty-turn", "a question holds tags and images only")
    head = " ".join([*tags, *[IMAGE] * (images - inline)])
    asked = [tag.strip("[]") for tag in tags if tag in TASK_TAGS]
    answers = [answer for _, answer in turns]
    questions = [f"{head}\n{body}", *rest]
    return list(zip(questions, answers, strict=True)), asked[0] if asked else entry.kind


def _split_head(question: str, entry: Published) -> tuple[list[str], str]:
    """Tags before the question, `<image>` among them left off, and the question itself."""
    tags, position = [], 0
    while found := HEAD.match(question, position):
        if entry.own and found[1] not in (IMAGE, *TAGS):
            break
        if found[1] != IMAGE:
            tags.append(found[1])
        position = found.end()
    return tags, question[position:].strip()


def _check_slots(questions: list[str], answers: list[str], images: int, notes: Notes) -> None:
    if any(IMAGE in answer for answer in answers):
        raise RowError("image-in-answer", f"an answer holds {IMAGE}")
    first, placeholders = questions[0].count(IMAGE), sum(question.count(IMAGE) for question in questions)
    if images == 1 and placeholders == 0:
        notes.repair("image-slot-added")
    elif images == 1 and placeholders == 1 and first == 0:
        notes.repair("image-slot-moved")
    elif placeholders != images:
        raise RowError("image-slots", f"{placeholders} {IMAGE} in the questions, but {images} images in the row")


def _right_tags(tags: list[str], entry: Published, notes: Notes) -> list[str]:
    """The same tags with the registry's sensor tag, and its task tag where no task is named."""
    right = (entry.tag, *entry.also)
    sensors = [tag for tag in tags if tag in SENSOR_TAGS]
    if not sensors:
        if not entry.own:  # conversations of one's own do not know our tags
            notes.repair("tag-added")
        tags = [*tags, entry.tag]
    elif any(tag not in right for tag in sensors):
        notes.repair("retagged")
        tags = [entry.tag if tag in SENSOR_TAGS and tag not in right else tag for tag in tags]
    if entry.task and not any(tag in TASK_TAGS for tag in tags):
        notes.repair("tag-added")
        tags = [entry.task, *tags]
    return list(dict.fromkeys(tags))


def _retag(question: str, entry: Published, notes: Notes) -> str:
    """A later question, its wrong sensor tags put right."""
    for tag in TAG.findall(question):
        if tag in SENSOR_TAGS and tag not in (entry.tag, *entry.also):
            notes.repair("retagged")
            question = question.replace(tag, entry.tag)
    return question


def flag_boxes(turns: Turns, notes: Notes) -> None:
    """Flag boxes that reach beyond the image, and brackets that hold no box (specification, section 1.5)."""
    for text in (text for turn in turns for text in turn):
        for written in BOXES.findall(text):
            try:
                found = boxes.parse(written, "earthdial")
            except boxes.BoxError:
                notes.flag("box-malformed")
            else:
                if boxes.outside(found).any():
                    notes.flag("box-out-of-range")
