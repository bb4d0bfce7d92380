"""Tables on stdout: as wide as the terminal, and whole where they are piped."""

from rich.console import Console, RenderableType

MAX_COLUMNS = 100_000
LEAST_COLUMNS = 80


def stdout_for(shown: RenderableType) -> Console:
    """A console in which a table is not cut: nobody's window ends at 80 columns in a pipe or a file."""
    console = Console()
    if console.is_terminal:
        return console
    wanted = console.measure(shown, options=console.options.update(max_width=MAX_COLUMNS)).maximum
    return Console(width=max(LEAST_COLUMNS, wanted))
