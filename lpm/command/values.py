"""Read what a person types: whole numbers, `name=value`, grids."""

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

import numpy as np

from ..errors import ScenarioError, unknown
from ..params import Params


def whole(text: str) -> int:
    """A whole number, also written 1_000_000, 1,000,000 or 1e6.

    Raises:
        ValueError: anything else.
    """
    try:
        value = Decimal(text.replace("_", "").replace(",", ""))
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a whole number") from None
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError(f"{text!r} is not a whole number")
    return int(value)


def changes(params: Params, settings: Iterable[str]) -> dict[str, Any]:
    """`["closure=0.3", "order=2,1,0"]` as values for `params.replace`.

    One number for an array fills it.

    Raises:
        ScenarioError: not `name=value`, an unknown name, a name given twice, or not a number.
    """
    found: dict[str, Any] = {}
    for name, parts in _pairs(params, settings):
        if name in found:
            raise ScenarioError(f"--set {name} is given twice; give each parameter once")
        shape = np.shape(getattr(params, name))
        numbers = [_number(params, name, part) for part in parts]
        if len(numbers) not in (1, int(np.prod(shape, dtype=int))):
            wanted = f"{int(np.prod(shape, dtype=int))} numbers" if shape else "one number"
            raise ScenarioError(f"--set {name} has {len(numbers)} numbers, but takes {wanted}")
        one = len(numbers) == 1
        value = np.full(shape, numbers[0]) if one else np.reshape(numbers, shape)
        found[name] = value.tolist()
    return found


def grid(params: Params, settings: Iterable[str]) -> dict[str, list[Any]]:
    """`["R0=1.5,2", "closure=0,0.5"]` as columns over all combinations, the last name fastest.

    Raises:
        ScenarioError: as `changes`, or a parameter that is an array.
    """
    axes: dict[str, list[Any]] = {}
    for name, parts in _pairs(params, settings):
        if np.ndim(getattr(params, name)):
            raise ScenarioError(f"{name} is an array; sweep over parameters that are one number")
        if name in axes:
            raise ScenarioError(f"--set {name} is given twice; give each parameter once")
        axes[name] = [_number(params, name, part) for part in parts]
    if not axes:
        raise ScenarioError("nothing to sweep over; give --set name=first,second,...")
    cells = list(product(*axes.values()))
    return {name: [cell[i] for cell in cells] for i, name in enumerate(axes)}


def _pairs(params: Params, settings: Iterable[str]) -> Iterable[tuple[str, Sequence[str]]]:
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals or not name or not text.strip():
            raise ScenarioError(f"--set {setting!r} is not of the form name=value")
        if name not in params.knobs():
            raise ScenarioError(unknown(type(params).__name__, "parameter", [name], params.knobs()))
        yield name, [part.strip() for part in text.split(",")]


def _number(params: Params, name: str, text: str) -> Any:
    dtype = np.asarray(getattr(params, name)).dtype
    truth = {"true": True, "false": False}.get(text.lower())
    try:
        if np.issubdtype(dtype, np.bool_):
            return truth if truth is not None else bool({"0": 0, "1": 1}[text])
        return whole(text) if np.issubdtype(dtype, np.integer) else float(text)
    except (ValueError, KeyError):
        kind = "a whole number" if np.issubdtype(dtype, np.integer) else "a number"
        kind = "true or false" if np.issubdtype(dtype, np.bool_) else kind
        raise ScenarioError(f"--set {name}={text}: {text!r} is not {kind}") from None
