"""State: a flat set of named arrays, each owned by the axis in its annotation."""

import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .axes import AGENT, Array, Bool, HasSlots, Int, axis_names, describe, hints, is_array, kind
from .errors import ScenarioError, listing, unknown
from .fields import Domain, Variable, declaration

S = TypeVar("S", bound="State")
_DTYPES = {"float": jnp.float32, "int": jnp.int32, "bool": jnp.bool_}


class State(eqx.Module):
    """Base of a scenario's state; subclass it and annotate variables with their axes.

    What a gradient may cross is float, ids are int, masks are bool. Empty slots hold zero in every
    float variable. Shapes and dtypes are checked whenever a state is built or replaced, never when
    JAX takes it apart, so a mistake is reported at the author's line.

    Attributes:
        alive: which slots hold a living agent.
        slot: identity of each agent, which is what random draws hang on.
        generation: how often a slot was reused; `None` unless the population recycles slots.
        t: steps done.
        next_slot: where the next birth goes; above the capacity when births outgrew it.
        estimator: how this run lets a gradient pass discrete draws.
    """

    alive: Bool[Array, " agent"]
    slot: Int[Array, " agent"]
    generation: Int[Array, " agent"] | None
    t: Int[Array, ""]
    next_slot: Int[Array, ""]
    estimator: str = eqx.field(static=True)

    def __check_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        sizes: dict[str, tuple[int, str]] = {}
        for name, annotation in hints(type(self)).items():
            if is_array(annotation):
                self._check_variable(name, annotation, sizes)

    def _check_variable(self, name: str, annotation: Any, sizes: dict) -> None:
        value, axes, owner = getattr(self, name), axis_names(annotation), type(self).__name__
        declared = f"{kind(annotation).capitalize()}[{', '.join(axes)}]"
        dtype = getattr(value, "dtype", None)
        if dtype is None or not _admits(kind(annotation), dtype) or value.ndim != len(axes):
            raise ScenarioError(f"{owner}.{name} is declared {declared} but is {describe(value)}")
        for axis, length in zip(axes, value.shape, strict=True):
            if axis.isdigit():
                if int(axis) != length:
                    raise ScenarioError(
                        f"{owner}.{name} is declared {declared} but is {describe(value)}"
                    )
                continue
            expected, other = sizes.setdefault(axis, (length, name))
            if expected != length:
                raise ScenarioError(
                    f"{owner}.{name} has {length} along axis '{axis}', "
                    f"but {owner}.{other} has {expected}"
                )

    @classmethod
    def variables(cls) -> dict[str, Variable]:
        """Declared arrays of the model by name, with bounds and units where given."""
        own = {f.name: f for f in dataclasses.fields(cls) if f.name not in _ENGINE}
        return {
            name: declaration(own[name]) or Variable(Domain())
            for name, annotation in hints(cls).items()
            if name in own and is_array(annotation)
        }

    @classmethod
    def of(cls: type[S], population: HasSlots, **columns: Any) -> S:
        """Build the state at step 0 from a population and one value per variable.

        Arrays are cast to the declared dtype (integers of fewer than 32 bits stay as they are),
        numbers are spread over the declared axes, columns of `population.size` rows are padded to
        its capacity, and empty slots are set to zero.

        Raises:
            ScenarioError: a variable is missing, unknown, or does not fit its axes.
        """
        names = [f.name for f in dataclasses.fields(cls) if f.name not in _ENGINE]
        wrong = [name for name in columns if name not in names]
        if wrong:
            raise ScenarioError(unknown(cls.__name__, "variable", wrong, names))
        missing = [name for name in names if name not in columns]
        if missing:
            raise ScenarioError(
                f"{cls.__name__}.of needs a value for {listing(missing)}; a number will do"
            )
        alive = jnp.asarray(population.alive)
        sizes = {AGENT: population.capacity}
        for name in names:
            _learn_sizes(cls, name, columns[name], sizes)
        arrays = {n: _column(cls, n, columns[n], population.size, alive, sizes) for n in names}
        slot = getattr(population, "slot", None)
        slot = jnp.arange(population.capacity) if slot is None else jnp.asarray(slot)
        recycle = getattr(population, "recycle", False)
        return cls(
            alive=alive,
            slot=slot.astype(jnp.int32),
            generation=jnp.zeros(population.capacity, jnp.int32) if recycle else None,
            t=jnp.zeros((), jnp.int32),
            next_slot=jnp.asarray(population.size, jnp.int32),
            estimator=getattr(population, "estimator", "stop"),
            **arrays,
        )

    def replace(self: S, **changes: Any) -> S:
        """A copy with some variables changed; the rest are the same objects.

        Values of the declared kind are cast to the dtype that the variable has, so that it stays
        as narrow as it was built.

        Raises:
            ScenarioError: a name that is no variable, or an array of another shape or kind.
        """
        names = [f.name for f in dataclasses.fields(self)]
        wrong = [name for name in changes if name not in names]
        if wrong:
            raise ScenarioError(unknown(type(self).__name__, "variable", wrong, names))
        changes = {name: self._settle(name, value) for name, value in changes.items()}
        return dataclasses.replace(self, **changes)

    def _settle(self, name: str, value: Any) -> Any:
        """Numbers become arrays, and arrays keep the variable's dtype, as a loop's carry must."""
        annotation, dtype = hints(type(self)).get(name), getattr(getattr(self, name), "dtype", None)
        if not is_array(annotation) or value is None or dtype is None:
            return value
        if isinstance(value, int | float | bool | np.generic) and not axis_names(annotation):
            fits = kind(annotation) == "float" or not isinstance(value, float | np.floating)
            return jnp.asarray(value, dtype) if fits else value
        if isinstance(value, jax.Array | np.ndarray) and _admits(kind(annotation), value.dtype):
            return jax.lax.convert_element_type(value, dtype)
        return value

    def sizes(self) -> dict[str, int]:
        """Length of every named axis."""
        found: dict[str, int] = {}
        for name, annotation in hints(type(self)).items():
            if is_array(annotation):
                found.update(zip(axis_names(annotation), getattr(self, name).shape, strict=True))
        return {axis: length for axis, length in found.items() if not axis.isdigit()}


_ENGINE = tuple(field.name for field in dataclasses.fields(State))


def _admits(family: str, dtype: Any) -> bool:
    wanted = {"float": jnp.floating, "int": jnp.integer, "bool": jnp.bool_}.get(family)
    return wanted is None or jnp.issubdtype(dtype, wanted)


def _narrow(family: str, array: jax.Array) -> bool:
    """Whether these are integers in fewer than 32 bits, which stay as they are to save memory."""
    return family == "int" and _admits("int", array.dtype) and array.dtype.itemsize < 4


def _learn_sizes(owner: type, name: str, value: Any, sizes: dict[str, int]) -> None:
    annotation = hints(owner)[name]
    if not is_array(annotation):
        return
    axes = axis_names(annotation)
    if np.ndim(value) == len(axes):
        for axis, length in zip(axes, np.shape(value), strict=True):
            sizes.setdefault(axis, length)


def _column(
    owner: type, name: str, value: Any, size: int, alive: jax.Array, sizes: dict[str, int]
) -> Any:
    annotation = hints(owner)[name]
    if not is_array(annotation):
        return value
    axes = axis_names(annotation)
    array = jnp.asarray(value)
    if not _narrow(kind(annotation), array):
        array = array.astype(_DTYPES.get(kind(annotation), array.dtype))
    if array.ndim == 0 and axes:
        lost = [axis for axis in axes if axis not in sizes and not axis.isdigit()]
        if lost:
            raise ScenarioError(
                f"{owner.__name__}.{name}: nothing says how long axis '{lost[0]}' is; "
                f"give an array, or name one of {listing(sizes)}"
            )
        shape = tuple(int(axis) if axis.isdigit() else sizes[axis] for axis in axes)
        array = jnp.broadcast_to(array, shape)
    if axes[:1] != (AGENT,):
        return array
    if array.shape[:1] == (size,) and size < alive.shape[0]:
        array = jnp.pad(array, [(0, alive.shape[0] - size)] + [(0, 0)] * (array.ndim - 1))
    if kind(annotation) == "float" and array.shape[:1] == alive.shape:
        array = keep_alive(alive, array)
    return array


def keep_alive(alive: Bool[Array, " agent"], x: Array) -> Array:
    """`x` with zero in every empty slot."""
    mask = alive.reshape(alive.shape + (1,) * (x.ndim - 1))
    return jnp.where(mask, x, jnp.zeros((), x.dtype))
