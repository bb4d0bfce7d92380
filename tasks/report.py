"""Stage `report`: data/report/index.html, its charts, and board.html; nothing outside them is shown."""

from pydantic import Field

from tasks.core import paths
from tasks.core.section import Section, load
from tasks.core.stage import Summary, atomic, main
from tasks.evaluation.names import MODELS


class ReportParams(Section):
    """How much of the dataset the page shows; every number on it counts all of it."""

    gallery: int = Field(ge=1, le=48, description="chips shown of each sensor, test chips first")
    scene_maps: int = Field(ge=1, le=200, description="scenes drawn at most, those with most chips first")
    series: int = Field(ge=0, le=24, description="series shown of each rule, test series first")
    pairs: int = Field(ge=1, le=32, description="question-answer pairs shown of a chip; the rest is folded away")
    smoothing: float = Field(ge=0, lt=1, description="weight of the past in the smoothed loss curves")


def run() -> Summary:
    """Make the pages."""
    # Here, for the parameters of this module are read often, and its pages bring every scorer with them.
    from tasks.pages import report_data
    from tasks.pages.board import BoardInputs
    from tasks.pages.board import page as board_page
    from tasks.pages.report import context, figures, page

    params = load(ReportParams, "report")
    dataset = report_data.read()
    values = context(dataset, params.gallery, params.scene_maps, params.pairs, params.smoothing, params.series)
    # The board takes what is declared of this stage, not the runs that may lie beside it.
    first, second = (MODELS[one.key].title for one in dataset.evaluations)
    board = board_page(BoardInputs(runs=None, leakage=None), (first, second), back=paths.report().name)
    for path, text in ((paths.report(), page(values)), (paths.report_board(), board)):
        with atomic(path) as partial:
            partial.write_text(text, encoding="utf-8")
    for name, drawing in figures(values).items():
        with atomic(paths.report().parent / "plots" / f"{name}.svg") as partial:
            partial.write_text(drawing, encoding="utf-8")
    return {
        "scenes": dataset.scenes,
        "candidates": dataset.candidates,
        "chips": sum(sensor.chips.height for sensor in dataset.sensors),
        "pairs": dataset.pairs,
        "cards": len(values["cards"]),
        "bytes": paths.report().stat().st_size,
    }


if __name__ == "__main__":
    main("report", run)
