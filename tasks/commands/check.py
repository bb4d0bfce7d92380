"""`earthloom check`: params.yaml validated, and its reference page."""

from tasks.core import log


def check(*, reference: bool = False) -> None:
    """Check params.yaml: every wrong or unknown parameter is named, with what is allowed.

    Parameters
    ----------
    reference
        Check nothing, and print the reference page of all parameters.
    """
    from tasks.check import Params, validate

    if reference:
        from tasks.core.reference import page

        print(page(Params), end="")
        return
    validate()
    log.console.print("params.yaml is valid.")
