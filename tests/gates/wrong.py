"""Models that are wrong on purpose: each must fail the gate that its right twin passes."""

import jax.numpy as jnp

import lpm
from lpm import Draw
from scenarios import epidemic, kermack_mckendrick as km, network_sir, sir, wealth


def _km_hazard(state: km.State, params: km.Params) -> lpm.Array:
    return lpm.hazard([(state.everyone, params.R0 / params.period, state.infectious)])


def linearised(state: km.State, params: km.Params, draw: Draw) -> km.State:
    """The hazard itself taken for a probability."""
    chance = jnp.minimum(_km_hazard(state, params), 1)
    infected = draw.bernoulli(state.susceptible * chance)
    recovered = draw.bernoulli(state.infectious / params.period)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def infect_then_recover(state: km.State, params: km.Params, draw: Draw) -> km.State:
    """The newly infected may recover in the step of their infection."""
    infected = draw.bernoulli(state.susceptible * -jnp.expm1(-_km_hazard(state, params)))
    infectious = state.infectious + infected
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=infectious - draw.bernoulli(infectious / params.period),
    )


def sir_infect_then_recover(state: sir.State, params: sir.Params, draw: Draw) -> sir.State:
    contacts = [
        (state.home, params.beta_home, state.infectious),
        (state.work, params.beta_work, state.infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    infectious = state.infectious + infected
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=infectious - draw.bernoulli(infectious * params.recovery),
    )


def sir_recover_then_infect(state: sir.State, params: sir.Params, draw: Draw) -> sir.State:
    infectious = state.infectious - draw.bernoulli(state.infectious * params.recovery)
    contacts = [
        (state.home, params.beta_home, infectious),
        (state.work, params.beta_work, infectious),
    ]
    infected = lpm.infections(draw, state.susceptible, contacts)
    return state.replace(susceptible=state.susceptible - infected, infectious=infectious + infected)


def network_infect_then_recover(
    state: network_sir.State, params: network_sir.Params, draw: Draw
) -> network_sir.State:
    contacts = [(state.ties, params.rate, state.infectious)]
    infected = lpm.infections(draw, state.susceptible, contacts)
    infectious = state.infectious + infected
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=infectious - draw.bernoulli(infectious * -jnp.expm1(-params.recovery)),
    )


def coarse_coin(draw: Draw, p: lpm.Scalar, axis: str) -> lpm.Array:
    """A coin from a uniform number of 24 bits, as float32 generators make them."""
    word = draw.integers(axis, 0, 2**24)
    return (word.astype(jnp.float32) * jnp.float32(2.0**-24) < p).astype(jnp.float32)


def reinfect(state: epidemic.State, params: epidemic.Params, draw: Draw) -> epidemic.State:
    """The recovered and the dead can be infected like the susceptible."""
    return epidemic.transmit(state.replace(susceptible=1 - state.infected), params, draw)


def both_give(state: wealth.State, params: wealth.Params, draw: Draw) -> wealth.State:
    """Both of a pair give at once, so that a coin moves only between rich and broke."""
    partner = draw.pairs(state.alive)
    gives = (state.wealth >= 1).astype(jnp.float32)
    return state.replace(wealth=state.wealth - gives + gives[partner])
