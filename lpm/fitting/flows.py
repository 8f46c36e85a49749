"""flowjax, which only some ways to a posterior need."""

from typing import Any

from ..errors import FittingError


def import_flowjax(asked: str) -> Any:
    """The package, with the modules that are used of it.

    Raises:
        FittingError: it is not installed, and `asked` needs it.
    """
    try:
        import flowjax
        import flowjax.bijections
        import flowjax.distributions
        import flowjax.flows
        import flowjax.train
    except ImportError as error:
        raise FittingError(f"{asked} needs flowjax: pip install 'lpm[infer]'") from error
    return flowjax
