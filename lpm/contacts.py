"""Who is reached: infections over any mix of networks, and who infected whom."""

from collections.abc import Sequence
from typing import TypeAlias, overload

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .aggregates import count, first_true
from .axes import Array, Float, Int
from .draw import Draw
from .errors import ScenarioError
from .networks import AbstractNetwork, Mixing
from .networks.choosing import choose_column

Contact: TypeAlias = tuple[AbstractNetwork, ArrayLike, Float[Array, " agent"]]


class Transmissions(eqx.Module):
    """Who infected whom in one step, the newly infected in the order of storage.

    Attributes:
        infected: index of the newly infected agent; -1 where there was none.
        infector: index of the agent that infected it; -1 where there was none.
        layer: which entry of `contacts` it went through; -1 where there was none.
        num_lost: infections of this step that found no room in the record.
    """

    infected: Int[Array, " event"]
    infector: Int[Array, " event"]
    layer: Int[Array, " event"]
    num_lost: Int[Array, ""]


def hazard(contacts: Sequence[Contact]) -> Float[Array, " agent"]:
    """Hazard of each agent per step: the sum over networks of rate times infectious contacts.

    `contacts` is as in `infections`.

    Raises:
        ScenarioError: there are no contacts, or an entry is not (network, rate, infectious).
    """
    _check(contacts)
    return _total(contacts)


@overload
def infections(
    draw: Draw, susceptible: Float[Array, " agent"], contacts: Sequence[Contact]
) -> Float[Array, " agent"]: ...


@overload
def infections(
    draw: Draw, susceptible: Float[Array, " agent"], contacts: Sequence[Contact], *, record: None
) -> Float[Array, " agent"]: ...


@overload
def infections(
    draw: Draw, susceptible: Float[Array, " agent"], contacts: Sequence[Contact], *, record: int
) -> tuple[Float[Array, " agent"], Transmissions]: ...


def infections(
    draw: Draw,
    susceptible: Float[Array, " agent"],
    contacts: Sequence[Contact],
    *,
    record: int | None = None,
) -> Float[Array, " agent"] | tuple[Float[Array, " agent"], Transmissions]:
    """Who is infected this step, through any mix of networks, all acting together.

    Each entry of `contacts` is `(network, rate, infectious)`: the hazard of one infectious contact
    per step, a number or one per agent who may catch it (its susceptibility), and how infectious
    each agent is (0 or 1, or a weight). Hazards add up, so that an agent escapes with probability
    `exp(-sum of hazards)`.

    With `record` the transmissions come as well, up to that many a step: the network is drawn by
    its share of the hazard, the infector within it by its share of the contacts. The infections
    are the same with and without.

    Raises:
        ScenarioError: no contacts or a malformed entry; or `record` under an estimator that
            infects by fractions.

    Example:
        >>> infected = infections(draw, state.susceptible, [(state.home, 0.2, state.infectious)])
    """
    _check(contacts)
    chance = _chance(contacts, draw)
    if chance.shape != susceptible.shape:
        raise ScenarioError(
            f"susceptible has shape {susceptible.shape}, but the networks cover {chance.shape}"
        )
    infected = draw.bernoulli(chance, among=susceptible)
    # Taken in any case, so that recording leaves every later draw of the process as it was.
    infector_draw = draw.at(0)
    if record is None:
        return infected
    if draw.estimator not in ("stop", "score"):
        raise ScenarioError(
            f"record needs whole infections, but estimator='{draw.estimator}' lets fractions "
            "through; run with 'stop' or 'score'"
        )
    return infected, _trace(infector_draw, infected, contacts, record)


def _trace(draw: Draw, infected: Array, contacts: Sequence[Contact], size: int) -> Transmissions:
    infected = jax.lax.stop_gradient(infected)
    agents = first_true(infected > 0.5, size)
    found = agents >= 0
    at = jnp.where(found, agents, 0)
    hazards = [jax.lax.stop_gradient(_layer_hazard(contact))[at] for contact in contacts]
    uniform = draw.uniform("agent")[at]
    layer = choose_column(uniform, jnp.stack(hazards, axis=1))
    layer = jnp.where(found, layer, -1)
    infector = jnp.full(size, -1, jnp.int32)
    for number, (network, _, infectious) in enumerate(contacts):
        here = layer == number
        chosen = network.choose(draw, jnp.where(here, agents, -1), infectious)
        infector = jnp.where(here, chosen, infector)
    lost = count(infected > 0.5).astype(jnp.int32) - jnp.sum(found, dtype=jnp.int32)
    return Transmissions(infected=agents, infector=infector, layer=layer, num_lost=lost)


def _chance(contacts: Sequence[Contact], draw: Draw) -> Float[Array, " agent"]:
    """Chance of each agent to be infected, were it susceptible."""
    network, rate, infectious = contacts[0]
    if len(contacts) > 1 or not isinstance(network, Mixing) or jnp.ndim(rate):
        return -jnp.expm1(-_total(contacts, draw))
    # One number a class: an exponential for each agent would take most of the step.
    reached = draw.shared(network.by_class(infectious))
    return network.spread(-jnp.expm1(-jnp.multiply(rate, reached)))


def _total(contacts: Sequence[Contact], draw: Draw | None = None) -> Float[Array, " agent"]:
    """Sum of hazards; what comes through random mixing is marked as shared."""
    total = _layer_hazard(contacts[0], draw)
    for contact in contacts[1:]:
        total = total + _layer_hazard(contact, draw)
    return total


def _layer_hazard(contact: Contact, draw: Draw | None = None) -> Float[Array, " agent"]:
    network, rate, infectious = contact
    if draw is None or not isinstance(network, Mixing):
        return jnp.multiply(rate, network.sum(infectious))
    return jnp.multiply(rate, network.spread(draw.shared(network.by_class(infectious))))


def _check(contacts: Sequence[object]) -> None:
    if not contacts:
        raise ScenarioError("infections needs at least one (network, rate, infectious)")
    for number, contact in enumerate(contacts):
        if not isinstance(contact, tuple) or len(contact) != 3:
            raise ScenarioError(f"contacts[{number}] must be (network, rate, infectious)")
        if not isinstance(contact[0], AbstractNetwork):
            raise ScenarioError(
                f"contacts[{number}] starts with {type(contact[0]).__name__}; "
                "expected Groups, Graph, Lattice or Mixing"
            )
