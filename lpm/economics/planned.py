"""What a planner found, and how far it can be believed."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from .schedule import Schedule

Values = Float[np.ndarray, " number"]


@dataclass(frozen=True)
class Plan:
    """The best rates found by `plan` or `plan_revenue`.

    Attributes:
        schedule: of tax.
        values: numbers of the design: rates of brackets, or at knots.
        welfare: per head, in units of income.
        rebate: to everybody; 0 where revenue is not handed back.
        revenue: per head.
        price: of public money in welfare: 1 where it is handed back.
        gradient: length of the gradient at the end, relative to that at the first start, without
            what is stopped by a limit.
        held: -1 or 1 where a number is at its lower or upper limit, else 0.
        second: second derivatives of welfare (of the Lagrangian) by the numbers.
        ends: where each start ended among the scouts, [start, number].
        ends_welfare: welfare there; -inf where the budget was not met.
        standard_error: of the numbers from sampling workers; nan for one held at a limit.
        closed_form: what the first-order condition of theory gives for each rate, from incomes at
            the optimum; nan where people jump across its bracket. None where theory is silent.
    """

    schedule: Schedule
    values: Values
    welfare: float
    rebate: float
    revenue: float
    price: float
    gradient: float
    held: Values
    second: Float[np.ndarray, "number number"] = field(repr=False)
    ends: Float[np.ndarray, "start number"] = field(repr=False)
    ends_welfare: Float[np.ndarray, " start"] = field(repr=False)
    standard_error: Values
    closed_form: Values | None

    @property
    def converged(self) -> bool:
        """Whether the gradient fell to a ten-thousandth."""
        return bool(self.gradient < 1e-4)

    @property
    def curvature(self) -> Values:
        """Eigenvalues of the second derivatives by numbers that are free, falling."""
        free = self.held == 0
        inner = self.second[np.ix_(free, free)]
        return np.linalg.eigvalsh(inner)[::-1] if free.any() else np.zeros(0)

    @property
    def is_peak(self) -> bool:
        """Whether welfare falls in every direction in which it may move."""
        return bool(np.all(self.curvature < 0))

    @property
    def spread(self) -> float:
        """Largest distance of a number between starts that ended within 1e-5 of the best welfare.

        Large where welfare hardly depends on a number, or has several peaks of one height.
        """
        top = self.ends_welfare.max()
        close = self.ends_welfare >= top - 1e-5 * abs(top)
        return float(np.ptp(self.ends[close], axis=0).max())

    @property
    def welfare_spread(self) -> float:
        """How much worse the worst start ended, relative to the best."""
        top = self.ends_welfare.max()
        reached = self.ends_welfare[np.isfinite(self.ends_welfare)]
        return float((top - reached.min()) / max(abs(top), 1e-30))

    def __str__(self) -> str:
        said = []
        for i, value in enumerate(self.values):
            limit = {-1.0: ", at its lower limit", 1.0: ", at its upper limit"}
            error = self.standard_error[i]
            text = f"{value:.4f}" + (f" ({error:.2g})" if np.isfinite(error) else "")
            said.append(text + limit.get(float(self.held[i]), ""))
        head = f"rates {'; '.join(said)}: welfare {self.welfare:.6g}, rebate {self.rebate:.6g}"
        checks = [
            f"gradient at {self.gradient:.1e} of the start"
            + ("" if self.converged else ", TOO MUCH"),
            "a peak" if self.is_peak else "NOT A PEAK",
            f"starts end {self.welfare_spread:.1e} apart in welfare, {self.spread:.1e} in rates",
        ]
        if self.closed_form is not None:
            gaps = np.abs(self.closed_form - self.values)[self.held == 0]
            told = gaps[np.isfinite(gaps)]
            if told.size:
                checks.append(f"theory within {told.max():.1e}")
        return f"{head}\n  {'; '.join(checks)}"
