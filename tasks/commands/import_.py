"""`earthloom import`: published EarthDial-Instruct here, conversations of one's own in `import_own`."""

from pathlib import Path
from typing import Annotated

import cyclopts

from tasks.commands import import_own
from tasks.commands.import_table import show
from tasks.core import paths

app = cyclopts.App(name="import", help="Bring in data sets of others, checked row by row.", result_action="return_none")
for command in (
    import_own.llava, import_own.sharegpt, import_own.messages, import_own.rsicap, import_own.iconqa,
    import_own.bigearthnet_txt,
):  # fmt: skip
    app.command(command)


@app.command
def earthdial_instruct(
    path: Path,
    *,
    out: Path = paths.DATA / "imported",
    dataset: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    strict: bool = False,
    jobs: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = 1,
) -> None:
    """Read published EarthDial-Instruct folders into chips and conversations.

    Every row is checked: repaired where one reading only is possible, else refused with its reason. A command that
    was stopped goes on where it was. Leaves with 1 if anything could not be read at all; the rest is imported.

    Parameters
    ----------
    path
        The download, or one data set of it: a folder that `datasets.save_to_disk` wrote.
    out
        Where the imports go, a folder for each data set.
    dataset
        Import this data set only; may be given several times. `NAME=ENTRY` reads a folder that the registry does not
        know by its name as that entry.
    strict
        Refuse the rows that would be repaired.
    jobs
        Chunks worked on at a time.
    """
    from tasks.published.importer import import_all

    show("EarthDial-Instruct", import_all(path, out, dataset or [], strict, jobs))
