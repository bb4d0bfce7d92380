"""What programs call the answer, the truth and the rows of a file of predictions."""

from collections.abc import Mapping
from dataclasses import dataclass

ANSWERS = (
    "answer", "prediction", "predictions", "pred", "preds", "predict", "predicted", "predicted_answer", "pred_answer",
    "predicted_label", "pred_label", "model_answer", "model_prediction", "model_output", "model_response", "response",
    "responses", "output", "outputs", "generated_text", "generated", "generation", "hypothesis", "completion", "text",
    "caption", "filtered_resps", "resps",
)  # fmt: skip
"""Fields that may hold what the model said."""
TRUTHS = {
    "classification": ("annotation", "groundtruth", "caption0"),
    "vqa": ("annotation", "groundtruth"),
    "detection": ("gt_bbox", "groundtruth", "annotation"),
    "grounding": ("groundtruth",),
    "captioning": ("caption0", "references", "groundtruth0", "annotation", "groundtruth"),
    "region_captioning": ("annotation", "groundtruth", "caption0"),
    "change": ("caption0", "references", "groundtruth0", "annotation", "groundtruth"),
}
"""Where a task's truth stands in EarthDial's layout and ours, in order of preference."""
ELSEWHERE = (
    "ground_truth", "ground_truths", "gt", "gts", "gt_answer", "gt_answers", "gt_label", "gt_labels", "gt_boxes",
    "gt_caption", "target", "targets", "label", "labels", "reference", "references", "reference_answer", "truth",
    "true_answer", "true_label", "correct_answer", "gold", "gold_answer", "golden_answer", "expected",
    "expected_answer", "answers", "multiple_choice_answer", "ground_truth_answer", "standard_answer", "solution",
)  # fmt: skip
"""What others call the truth."""
TRUTH_FIELDS = tuple(dict.fromkeys([*(name for names in TRUTHS.values() for name in names), *ELSEWHERE]))
ID_FIELDS = (
    "id",
    "question_id",
    "sample_id",
    "questionId",
    "qid",
    "index",
    "doc_id",
    "uid",
    "key",
    "image_id",
    "image",
)
"""What may name a row, in order of preference, where two files are joined."""


@dataclass(frozen=True)
class Layout:
    """The fields of one program's files."""

    program: str
    has: frozenset[str]
    """Fields that all its files have."""
    answer: tuple[str, ...]
    """Where the answer stands, in order of preference."""
    truth: tuple[str, ...]
    """Where the truth stands, in order of preference; empty where it is in another file."""
    renamed: Mapping[str, str]
    """Other fields -> what they are called here."""


LAYOUTS = (
    Layout(
        "lmms-eval", frozenset({"doc_id", "target"}), ("filtered_resps", "resps"), ("target",), {"doc_id": "id"}
    ),
    Layout(
        "VLMEvalKit", frozenset({"index", "prediction", "answer"}), ("prediction",), ("answer",),
        {"index": "id", "category": "question_type"},
    ),
    Layout(
        "VLMEvalKit", frozenset({"index", "prediction"}), ("prediction",), (), {"index": "id"},
    ),
    Layout("GeoChat", frozenset({"question_id", "answer", "ground_truth"}), ("answer",), ("ground_truth",), {}),
    Layout("LLaVA", frozenset({"question_id", "text", "answer_id"}), ("text",), (), {}),
    Layout("LLaVA", frozenset({"question_id", "text", "model_id"}), ("text",), (), {}),
    Layout("LLaMA-Factory", frozenset({"predict", "label"}), ("predict",), ("label",), {}),
    Layout("ms-swift", frozenset({"response", "labels"}), ("response",), ("labels",), {}),
    Layout("COCO's caption results", frozenset({"image_id", "caption"}), ("caption",), (), {}),
)  # fmt: skip
"""By the fields that only they have; the first that fits is taken."""
