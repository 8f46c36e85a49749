"""What the gates compare with: theory in float64, written without lpm."""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq


def final_size(reproduction: float, seeded: float = 0.0) -> float:
    """Root of 1 - z = (1 - seeded) exp(-R0 z); Kermack & McKendrick (1927)."""
    low = 1e-9 if seeded == 0 else 0.0
    return brentq(lambda z: 1 - z - (1 - seeded) * np.exp(-reproduction * z), low, 1, xtol=1e-14)


def final_size_sd(reproduction: float, z: float, variation: float) -> float:
    """sd of the final size times sqrt(N); `variation` is that of the infectious period.

    Scalia-Tomba (1985), Ball & Clancy (1993). Exact for any seeded share, given the seeded root,
    if every agent is a seed independently: each escapes with probability 1 - z all the same.
    """
    spread = 1 + variation**2 * reproduction**2 * (1 - z)
    return np.sqrt(z * (1 - z) * spread) / (1 - reproduction * (1 - z))


def geometric_variation(period: float) -> float:
    """Coefficient of variation of a geometric number of steps, 1, 2, ..., of mean `period`."""
    return np.sqrt(1 - 1 / period)


def extinction(generating: Callable[[float], float]) -> float:
    """Smallest root of q = G(q): the chance that a branching process from one dies out."""
    q = 0.0
    for _ in range(10_000):
        q = generating(q)
    return q


def reed_frost_mean(reproduction: float, size: int, most: int = 2000) -> float:
    """Mean number ever infected from one case below the threshold, among `size` people.

    For a fixed infectious period: the infected have their turn one by one, each infects each of
    those left with the same chance, and the outbreak ends when all have had theirs.
    """
    chance = -np.expm1(-reproduction / size)
    infected = np.zeros(most)
    infected[1] = 1.0
    left = size - np.arange(most)
    mean = 0.0
    for turn in range(1, most):
        after, term = np.zeros(most), infected * (1 - chance) ** left
        for caught in range(16):
            after[caught:] += term[: most - caught]
            term = term * (left - caught) / (caught + 1) * chance / (1 - chance)
        mean, infected = mean + turn * after[turn], after
        infected[turn] = 0.0
    return float(mean)


def poisson_offspring(reproduction: float) -> Callable[[float], float]:
    """Offspring after a fixed infectious period."""
    return lambda s: float(np.exp(-reproduction * (1 - s)))


def geometric_offspring(reproduction: float, period: float) -> Callable[[float], float]:
    """Offspring after 1, 2, ... steps: a geometric mixture of Poisson numbers."""
    stop = 1 / period

    def generating(s: float) -> float:
        one_step = np.exp(-reproduction / period * (1 - s))
        return float(stop * one_step / (1 - (1 - stop) * one_step))

    return generating


def step_growth(offspring: np.ndarray) -> float:
    """Growth r per step with 1 = sum_k offspring[k] exp(-r k), k = 1, 2, ... steps (Lotka)."""
    k = np.arange(1, len(offspring) + 1)
    return brentq(lambda r: np.sum(offspring * np.exp(-r * k)) - 1, -0.01, 3, xtol=1e-14)


def geometric_profile(rate: float, stop: float, steps: int = 400) -> np.ndarray:
    """Expected infections in step 1, 2, ... after one's own; infectious until stopped."""
    return rate * (1 - stop) ** np.arange(steps)


def fixed_profile(rate: float, period: int) -> np.ndarray:
    """The same after a fixed infectious period."""
    return np.full(period, rate)


def seir_profile(beta: float, sigma: float, gamma: float, day: float) -> np.ndarray:
    """The same with a latent stage, left at the end of a step with 1 - exp(-sigma day)."""
    onset, stop = -np.expm1(-sigma * day), -np.expm1(-gamma * day)
    steps = int(120 / day)
    exposed, infectious, profile = 1.0, 0.0, np.zeros(steps)
    for k in range(steps):
        profile[k] = beta * day * infectious
        exposed, infectious = exposed * (1 - onset), infectious * (1 - stop) + exposed * onset
    return profile


def sir_map(rate: float, stop: float, seeded: float, steps: int) -> np.ndarray:
    """[step, (S, I)] of the step's own expectation: S exp(-rate I), both flows together."""
    rows = [(1 - seeded, seeded)]
    for _ in range(steps):
        s, i = rows[-1]
        new = s * -np.expm1(-rate * i)
        rows.append((s - new, i + new - stop * i))
    return np.array(rows)


def seir_map(beta: float, sigma: float, gamma: float, seeded: float, day: float, days: int):
    """[step, (S, E, I)] of the step's own expectation, `day` days a step."""
    onset, stop = -np.expm1(-sigma * day), -np.expm1(-gamma * day)
    rows = [(1 - seeded, 0.0, seeded)]
    for _ in range(round(days / day)):
        s, e, i = rows[-1]
        new = s * -np.expm1(-beta * day * i)
        rows.append((s - new, e + new - onset * e, i + onset * e - stop * i))
    return np.array(rows)


def seir_ode(beta: float, sigma: float, gamma: float, seeded: float, times: np.ndarray):
    """[time, (S, E, I)] of the differential equations."""

    def slope(_: float, y: np.ndarray) -> list[float]:
        s, e, i = y
        return [-beta * s * i, beta * s * i - sigma * e, sigma * e - gamma * i]

    start = [1 - seeded, 0.0, seeded]
    span = (0.0, float(times[-1]))
    return solve_ivp(slope, span, start, "LSODA", times, rtol=1e-10, atol=1e-12).y.T


def seir_growth(beta: float, sigma: float, gamma: float) -> float:
    """Positive root of (r + sigma)(r + gamma) = beta sigma."""
    return float(max(np.roots([1, sigma + gamma, sigma * gamma - beta * sigma]).real))


def geometric_transmissibility(rate: float, stop: float) -> float:
    """Chance that a tie transmits in 1, 2, ... steps of hazard `rate`, stopped with `stop`."""
    escape = np.exp(-rate)
    return 1 - stop * escape / (1 - (1 - stop) * escape)


def network_attack(share: np.ndarray, transmissibility: float, seeded: float = 0.0) -> float:
    """Attack rate on a configuration model; `share[k]` of agents have k ties. Newman (2002).

    u = 1 - T + T (1 - seeded) G1(u) is the chance that a tie passes nothing on; a seed is spared
    by nobody, hence 1 - (1 - seeded) G0(u).
    """
    k = np.arange(len(share))
    mean = k @ share
    start = 0.5
    for _ in range(20_000):
        inner = np.sum(k[1:] * share[1:] * start ** (k[1:] - 1)) / mean
        start = 1 - transmissibility + transmissibility * (1 - seeded) * inner
    return 1 - (1 - seeded) * np.sum(share * start**k)


def excess_degree(share: np.ndarray) -> float:
    """(<k^2> - <k>) / <k>: other ties of someone reached through a tie."""
    k = np.arange(len(share))
    return float((k**2 - k) @ share / (k @ share))


def network_curve(
    share: np.ndarray, rate: float, stop: float, seeded: float, steps: int
) -> np.ndarray:
    """Infected so far after each step on a configuration model of any size.

    The edge-based equations of Miller, Slim & Volz (2012) for steps in which transmission and
    recovery are read off the start: theta is the chance that a tie has passed nothing on so far.
    """
    k = np.arange(len(share))
    mean = k @ share

    def unreached(theta: float) -> float:
        return (1 - seeded) * np.sum(k[1:] * share[1:] * theta ** (k[1:] - 1)) / mean

    theta, active, infected = 1.0, seeded, []
    for _ in range(steps):
        after = theta + np.expm1(-rate) * active
        active = active * np.exp(-rate) * (1 - stop) + unreached(theta) - unreached(after)
        theta = after
        infected.append(1 - (1 - seeded) * np.sum(share * theta**k))
    return np.array(infected)


def multitype_attack(exposure: np.ndarray, seeded: float) -> np.ndarray:
    """1 - z_a = (1 - seeded) exp(-sum_b exposure[a, b] z_b), by iteration from above."""
    z = np.ones(len(exposure))
    for _ in range(5000):
        z = 1 - (1 - seeded) * np.exp(-exposure @ z)
    return z


def gini(share: np.ndarray) -> float:
    """Gini coefficient of whole-number wealth of which `share[w]` hold w."""
    above = 1 - np.cumsum(share)
    return float(1 - np.sum(above**2) / np.sum(above))


def geometric_wealth(mean: float) -> np.ndarray:
    """Shares of wealth 0, 1, ... when every fortune of the whole is equally likely."""
    return (mean / (1 + mean)) ** np.arange(200) / (1 + mean)


def queue_wealth(mean: float) -> np.ndarray:
    """Stationary shares when all who can give one and receive a Poisson number at once.

    That is a queue with one service a step; the rate received is the share who give.
    """
    busy = (1 + mean) - np.sqrt((1 + mean) ** 2 - 2 * mean)
    gifts = np.exp(-busy) * np.cumprod(np.append(1.0, busy / np.arange(1, 120)))
    size = len(gifts)
    move = np.zeros((size, size))
    for wealth in range(size):
        low = max(wealth - 1, 0)
        move[wealth, low:] = gifts[: size - low]
    move[:, -1] += 1 - move.sum(axis=1)
    shares = np.full(size, 1 / size)
    for _ in range(4000):
        shares = shares @ move
    return shares
