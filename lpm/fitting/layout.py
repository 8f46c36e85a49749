"""The axis of time of fitted fields: what steps an entry covers, and where entries are."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..axes import axis_names, hints
from ..errors import FittingError
from ..params import Params
from ..scenario import Scenario, entry_span
from .losses import Series


@dataclass(frozen=True)
class Clock:
    """How the time axis of the fitted fields relates to steps and rows of a run.

    Attributes:
        axis: its name, such as week.
        span: steps of one entry.
        every: steps of a row.
    """

    axis: str
    span: int
    every: int

    def ends(self, series: Series) -> Int[np.ndarray, " period"]:
        """The step in which each period ends."""
        periods = np.arange(1, series.periods + 1)
        return (series.first + periods * series.window) * self.every

    def weeks(self, series: Series) -> Int[np.ndarray, " period"]:
        """Entries of the axis that a run needs to reach the end of each period."""
        return -(-self.ends(series) // self.span)


@dataclass(frozen=True)
class Layout:
    """Where values by week, and values that stay, go in the elements of a `Space`.

    Attributes:
        fields: names in order.
        shapes: of each field.
        position: of the time axis in each field; `None` where it has none.
    """

    fields: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    position: tuple[int | None, ...]

    @classmethod
    def of(cls, params: Params, fields: tuple[str, ...], axis: str) -> "Layout":
        """The layout of fields of `params`."""
        names = [axis_names(hints(type(params))[name]) for name in fields]
        return cls(
            fields,
            tuple(np.shape(getattr(params, name)) for name in fields),
            tuple(axes.index(axis) if axis in axes else None for axes in names),
        )

    @property
    def weekly(self) -> int:
        """Numbers that vary by week."""
        return sum(self._sizes(moving=True))

    @property
    def steady(self) -> int:
        """Numbers that a region has once."""
        return sum(self._sizes(moving=False))

    def add(
        self,
        start: Float[Array, " element"],
        weekly: Float[Array, "week number"],
        steady: Float[Array, " constant"],
    ) -> Float[Array, " element"]:
        """The elements at `start`, moved; can be traced."""
        parts, first, moved, stayed = [], 0, 0, 0
        for shape, at in zip(self.shapes, self.position, strict=True):
            size = int(np.prod(shape))
            here = start[first : first + size].reshape(shape)
            first += size
            if at is None:
                here = here + steady[stayed : stayed + size].reshape(shape)
                stayed += size
            else:
                wide = size // shape[at]
                change = weekly[: shape[at], moved : moved + wide]
                front = (shape[at], *(n for i, n in enumerate(shape) if i != at))
                here = here + jnp.moveaxis(change.reshape(front), 0, at)
                moved += wide
            parts.append(here.ravel())
        return jnp.concatenate(parts)

    def _sizes(self, moving: bool) -> list[int]:
        return [
            int(np.prod(shape)) // (shape[at] if at is not None else 1)
            for shape, at in zip(self.shapes, self.position, strict=True)
            if (at is not None) == moving
        ]


def cut(params: Params, fields: tuple[str, ...], axis: str, weeks: int) -> Params:
    """The params with so many entries along the time axis; fitted fields repeat their last one.

    Raises:
        FittingError: a field that is not fitted ends before.
    """
    changes: dict[str, Any] = {}
    for name in type(params).knobs():
        axes = axis_names(hints(type(params))[name])
        if axis not in axes:
            continue
        value, at = np.asarray(getattr(params, name)), axes.index(axis)
        if value.shape[at] < weeks and name not in fields:
            raise FittingError(
                f"{type(params).__name__}.{name} has {value.shape[at]} entries along '{axis}', "
                f"but {weeks} are needed; give params with a longer {name}"
            )
        index = np.minimum(np.arange(weeks), value.shape[at] - 1)
        changes[name] = np.take(value, index, axis=at)
    return params.replace(**changes)


def find_clock(
    scenario: Scenario[Any, Any], params: Params, fields: tuple[str, ...], every: int
) -> Clock:
    """The time axis that the fitted fields share.

    Raises:
        FittingError: none has one, they have several, or its entries are no whole number of rows.
    """
    found: dict[str, str] = {}
    for name in fields:
        for axis in axis_names(hints(type(params))[name]):
            if entry_span(axis, scenario.unit) > 0:
                found[name] = axis
    if not found:
        raise FittingError(
            f"none of the fields {list(fields)} has a time axis; declare one as "
            'Float[Array, " week"], or fit constants with lpm.calibrate'
        )
    if len(set(found.values())) > 1:
        raise FittingError(f"fields have different time axes, {found}; give them one")
    axis = next(iter(found.values()))
    span = entry_span(axis, scenario.unit)
    if span != round(span) or round(span) % every:
        raise FittingError(
            f"an entry along '{axis}' is {span:g} steps and a row {every}; give a whole number of "
            "rows for each entry"
        )
    return Clock(axis, round(span), every)
