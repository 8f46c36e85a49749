"""Params: everything one may turn, each with a role, bounds and a unit."""

import dataclasses
from html import escape
from typing import Any, TypeVar

import equinox as eqx
import numpy as np

from .axes import axis_names, describe, hints, is_array, is_traced, kind
from .errors import ScenarioError, unknown
from .fields import ROLES, Knob, declaration

P = TypeVar("P", bound="Params")
_DTYPES = {"float": np.float32, "int": np.int32, "bool": np.bool_}
_WHOLE = {"i": "a whole number of 32 bits", "b": "true or false"}


class Params(eqx.Module):
    """Base of a scenario's parameters; subclass it and declare fields.

    Values are NumPy scalars or arrays until a run. A concrete value outside its declared bounds,
    or one that is not a number, raises at construction; traced values pass unchecked.

    Raises:
        ScenarioError: a value outside its bounds, of the wrong shape, or an unknown name.
    """

    def __check_init__(self) -> None:
        for name, knob in type(self).knobs().items():
            value = getattr(self, name)
            if is_traced(value):
                continue
            value = _convert(type(self), name, value)
            object.__setattr__(self, name, value)
            wrong = value[knob.domain.violated(value)]
            if wrong.size:
                unit = f" ({knob.unit})" if knob.unit else ""
                raise ScenarioError(
                    f"{type(self).__name__}.{name} = {wrong[0]:g} is outside {knob.domain}{unit}"
                )
        self._check_axes()

    def _check_axes(self) -> None:
        sizes: dict[str, tuple[int, str]] = {}
        for name in type(self).knobs():
            axes = axis_names(hints(type(self))[name])
            shape = np.shape(getattr(self, name))
            # From the back, so that the extra axis of variants, traced or not, stays out of it.
            for axis, length in zip(reversed(axes), reversed(shape), strict=False):
                expected, other = sizes.setdefault(axis, (length, name))
                if expected != length:
                    owner = type(self).__name__
                    raise ScenarioError(
                        f"{owner}.{name} has {length} along axis '{axis}', "
                        f"but {owner}.{other} has {expected}"
                    )

    @classmethod
    def knobs(cls) -> dict[str, Knob]:
        """Declarations by field name, in order."""
        found = {}
        for field in dataclasses.fields(cls):
            knob = declaration(field)
            if not isinstance(knob, Knob):
                raise ScenarioError(
                    f"{cls.__name__}.{field.name} has no role; declare it with "
                    "lpm.constant, lpm.parameter or lpm.policy"
                )
            found[field.name] = knob
        return found

    def replace(self: P, **changes: Any) -> P:
        """A copy with some values changed.

        A value may carry one extra leading axis: `lpm.ensemble` then runs one variant per row.

        Raises:
            ScenarioError: a name that is not a field, or a value outside its bounds.
        """
        wrong = [name for name in changes if name not in type(self).knobs()]
        if wrong:
            raise ScenarioError(
                unknown(type(self).__name__, "parameter", wrong, type(self).knobs())
            )
        # Built without __init__, which a run-time type check would hold to JAX arrays alone.
        copy = object.__new__(type(self))
        for name in type(self).knobs():
            object.__setattr__(copy, name, changes.get(name, getattr(self, name)))
        copy.__check_init__()
        return copy

    def select(self, role: str) -> dict[str, Any]:
        """Values of the fields with `role`: constant, parameter or policy."""
        if role not in ROLES:
            raise ScenarioError(unknown("Params", "role", [role], ROLES))
        return {n: getattr(self, n) for n, k in type(self).knobs().items() if k.role == role}

    def variants(self) -> int | None:
        """Number of rows on the extra leading axis, or `None` where no field has one."""
        lengths = {n: len(getattr(self, n)) for n in self.knobs() if self.varies(n)}
        if len(set(lengths.values())) > 1:
            raise ScenarioError(f"variants disagree in length: {lengths}; give one common length")
        return next(iter(lengths.values()), None)

    def varies(self, name: str) -> bool:
        """Whether a field carries the extra leading axis of variants."""
        return np.ndim(getattr(self, name)) == len(axis_names(hints(type(self))[name])) + 1

    def table(self) -> list[dict[str, Any]]:
        """One row per field: name, role, value, within, unit."""
        return [
            {
                "name": name,
                "role": knob.role,
                "value": _short(getattr(self, name)),
                "within": str(knob.domain) if knob.domain.bounded else "",
                "unit": knob.unit,
            }
            for name, knob in type(self).knobs().items()
        ]

    def _repr_html_(self) -> str:
        return html_table(self.table())


def html_table(rows: list[dict[str, Any]]) -> str:
    """Rows as a plain HTML table, every cell escaped."""
    if not rows:
        return "<em>empty</em>"
    head = "".join(f"<th>{escape(str(key))}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(v))}</td>" for v in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _convert(owner: type, name: str, value: Any) -> Any:
    annotation = hints(owner)[name]
    if not is_array(annotation):
        raise ScenarioError(f"{owner.__name__}.{name} must be declared as an array or lpm.Scalar")
    try:
        given = np.asarray(value)
        with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is refused below
            array = given.astype(_DTYPES[kind(annotation)])
    except (TypeError, ValueError) as error:
        raise ScenarioError(f"{owner.__name__}.{name} = {value!r} is not a number") from error
    if array.dtype != np.float32 and not np.array_equal(array, given):
        raise ScenarioError(
            f"{owner.__name__}.{name} = {value!r} is not {_WHOLE[array.dtype.kind]}"
        )
    axes = axis_names(annotation)
    if array.ndim not in (len(axes), len(axes) + 1):
        raise ScenarioError(
            f"{owner.__name__}.{name} is declared [{', '.join(axes)}] but is {describe(array)}"
        )
    return array


def _short(value: Any) -> str:
    array = np.asarray(value)
    if array.size == 1:
        return f"{array.item():g}"
    return f"{array.ravel()[0]:g} ... {array.ravel()[-1]:g} ({array.size} values)"
