"""Closed forms that the gates compare with, in float64 and without the package under test."""

import numpy as np
from scipy.optimize import brentq


def final_size(R0: float, seeded: float = 0.0) -> float:
    """Kermack & McKendrick: root of 1 - z = (1 - seeded) exp(-R0 z)."""
    return brentq(lambda z: 1 - z - (1 - seeded) * np.exp(-R0 * z), 1e-9, 1 - 1e-12)


def final_size_width(R0: float, variation: float) -> float:
    """Standard deviation of the final share times sqrt(N); `variation` of the infectious period.

    Central limit theorem of von Bahr & Martin-Lof (1980).
    """
    z = final_size(R0)
    return np.sqrt(z * (1 - z) * (1 + variation**2 * R0**2 * (1 - z))) / (1 - R0 * (1 - z))


def multitype_final_size(matrix: np.ndarray, seeded: float) -> np.ndarray:
    """Shares z_a with 1 - z_a = (1 - seeded) exp(-sum_b matrix[a, b] z_b), by iteration."""
    z = np.full(len(matrix), 0.9)
    for _ in range(10_000):
        z = 1 - (1 - seeded) * np.exp(-matrix @ z)
    return z


def extinction(R0: float, period: int, fixed: bool) -> float:
    """Chance that the offspring of one case die out, for the offspring law of the daily step."""
    p = 1 / period

    def offspring(s: float) -> float:
        x = np.exp(R0 * p * (s - 1))
        return x**period if fixed else p * x / (1 - (1 - p) * x)

    q = 0.0
    for _ in range(10_000):
        q = offspring(q)
    return q


def transmissibility(rate: float, recovery: float) -> float:
    """Chance that a tie ever transmits, for a step of one day and geometric recovery."""
    escape, stay = np.exp(-rate), np.exp(-recovery)
    return 1 - (1 - stay) * escape / (1 - stay * escape)


def network_attack_rate(transmit: float, degree: float, seeded: float) -> float:
    """Newman (2002) for Poisson degrees, a share `seeded` infected at the start."""
    u = 0.0
    for _ in range(10_000):
        u = 1 - transmit + transmit * (1 - seeded) * np.exp(degree * (u - 1))
    return 1 - (1 - seeded) * np.exp(degree * (u - 1))


def sir_map(R0: float, period: float, seeded: float, steps: int) -> np.ndarray:
    """Infectious share after each step of the deterministic map with geometric recovery."""
    s, i, rows = 1 - seeded, seeded, []
    for _ in range(steps):
        escaped = s * np.exp(-R0 / period * i)
        s, i = escaped, i - i / period + s - escaped
        rows.append(i)
    return np.array(rows)
