"""More columns for people who are there already."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from .population import Population


def with_columns(
    population: Population,
    columns: Mapping[str, Shaped[np.ndarray, " person"]],
    *,
    labels: Mapping[str, Sequence[str]] | None = None,
    source: str = "",
) -> Population:
    """The same people and networks with further columns, or others in place of some.

    Args:
        population: the people.
        columns: one value per person.
        labels: names of the codes of those columns.
        source: a line of provenance.

    Raises:
        DataError: a column does not fit the people.
    """
    extended = Population(
        {**population.stored(), **columns},
        capacity=population.capacity,
        slot=np.asarray(population.slot)[: population.size],
        labels={**population.labels, **(labels or {})},
        recycle=population.recycle,
        provenance=(*population.provenance, *([source] if source else [])),
    )
    for name in population.networks:
        extended = extended.connect(name, population.network(name))
    return extended
