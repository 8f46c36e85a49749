"""The planner's problem: rates under which welfare is highest, when workers answer them.

The planner moves first and knows how workers best respond (Stackelberg). Whatever the taxes bring
in beyond public spending is handed back in equal parts, or, in `plan_revenue`, just so much is to
be raised and nothing handed back. Gradients pass through responses by the envelope theorem, with
those who jump where rates fall.

`lpm.optimise` on a scenario of one step finds the same rates; it has no second derivatives, and so
no standard errors, and it spends half of its runs on luck that there is none of here.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..errors import DataError
from .aims import Aim
from .ascent import Peak, Slopes, Values, climb, finish
from .design import Design
from .planned import Plan
from .problem import Problem, look_at
from .revealed import implied_rates
from .sampling import group_errors, sampling_errors
from .workforce import Workforce

_GROUPED = 1_000  # Workers from which errors can be those of groups.


def plan(
    workers: Workforce,
    aim: Aim,
    design: Design,
    *,
    spending: float = 0.0,
    starts: int | Sequence[Any] = 4,
    bandwidth: float = 0.05,
    scout: int = 100_000,
    errors: bool = True,
) -> Plan:
    """The rates of highest welfare, with what is needed to believe them.

    Searches from several starts among `scout` of the workers, and from the best end among all; the
    last steps are Newton's on the gradient.

    Args:
        workers: who answers.
        aim: what is raised: `Utilitarian`, `InverseIncome`, `ParetoWeights`, `Rawlsian`, or your
            own `Aim`.
        design: what may be chosen: `brackets` or `smooth`.
        spending: of the state, per head; the rebate is revenue less that, and may be negative.
        starts: how many, or the numbers of the design to start from.
        bandwidth: of the correction for jumps, in log income; see `respond`.
        scout: workers among whom starts are compared.
        errors: whether to work out standard errors. Where working has a fixed cost they are those
            of ten groups, and nan for fewer than 1,000 workers.

    Raises:
        DataError: weights of another number of workers, starts that do not fit, welfare that is not
            finite.

    Example:
        >>> workers = Workforce.of(jnp.array([1.0, 2.0, 6.0]), 0.5)
        >>> round(float(plan(workers, Rawlsian(0.3), brackets([0.0])).values[0]), 3)
        0.571
    """
    problem = Problem(workers, aim, design, spending, False, bandwidth)
    return _solve(problem, starts, scout, errors)


def plan_revenue(
    workers: Workforce,
    aim: Aim,
    design: Design,
    *,
    revenue: float,
    starts: int | Sequence[Any] = 4,
    bandwidth: float = 0.05,
    scout: int = 100_000,
    errors: bool = True,
) -> Plan:
    """The rates of highest welfare that raise `revenue` per head, none of it handed back.

    `Plan.price` is then what welfare loses for a unit of revenue more. Arguments as in `plan`.

    Raises:
        DataError: as there, or no rates raise as much.
    """
    problem = Problem(workers, aim, design, revenue, True, bandwidth)
    return _solve(problem, starts, scout, errors)


def _solve(problem: Problem, starts: int | Sequence[Any], scout: int, errors: bool) -> Plan:
    design, bound = problem.design, problem.bound
    first = _starts(design, starts)
    few = problem.among(scout)
    near = look_at(few)
    ends = [climb(near, x, design.low, design.high, bound) for x in first]
    worth = np.array([value if _met(near(x), bound) else -np.inf for x, value in ends])
    if not np.isfinite(worth).any():
        most = max(near(x)[2] for x, _ in ends) + problem.spending
        raise DataError(
            f"no rates that raise {problem.spending:g} per head; the most found is {most:g}"
        )
    best = ends[int(np.argmax(worth))][0]
    limits = design.low, design.high, bound and near(best)[2] < 1e-3 * abs(problem.spending)
    peak = finish(near, best, *limits)
    look = near
    if few is not problem:
        look = look_at(problem)
        peak = finish(look, peak.values, *limits, peak.second)
    scale = float(np.linalg.norm(look(first[0])[1]))
    here = look(peak.values)
    spread = np.full(design.size, np.nan)
    if errors and problem.workers.fixed_cost is None:
        spread = sampling_errors(problem, peak, here[3] if limits[2] else None)
    elif errors and problem.workers.size >= _GROUPED:
        spread = group_errors(problem, peak, *limits)
    return _told(problem, peak, here, scale, ends, worth, spread)


def _told(
    problem: Problem,
    peak: Peak,
    here: Slopes,
    scale: float,
    ends: list[tuple[Values, float]],
    worth: Float[np.ndarray, " start"],
    spread: Values,
) -> Plan:
    values = jnp.asarray(peak.values, jnp.float32)
    revenue = float(_revenue(values, problem.workers, problem.design))
    rebate, price = (0.0, peak.price) if problem.bound else (revenue - problem.spending, 1.0)
    given = problem.workers, problem.aim, problem.design
    return Plan(
        schedule=problem.design.schedule(values),
        values=peak.values,
        welfare=here[0],
        rebate=rebate,
        revenue=revenue,
        price=price,
        gradient=float(np.linalg.norm(peak.slope)) / max(scale, 1e-30),
        held=peak.held,
        second=peak.second,
        ends=np.stack([x for x, _ in ends]),
        ends_welfare=worth,
        standard_error=spread,
        closed_form=implied_rates(*given, values, price, rebate),
    )


def _starts(design: Design, asked: int | Sequence[Any]) -> list[Values]:
    """Flat, rising and falling schedules, then points of an additive sequence."""
    low, high, k = design.low, design.high, design.size
    if not isinstance(asked, int):
        given = [np.asarray(x, np.float64) for x in asked]
        for x in given:
            if x.shape != (k,) or not np.all((x >= low) & (x <= high)):
                raise DataError(f"start {x.tolist()}; give {k} numbers in [{low}, {high}]")
        if not given:
            raise DataError("there are no starts; give one at least")
        return given
    if asked < 1:
        raise DataError(f"starts = {asked}; give one at least")
    ramp = np.linspace(0.1, 0.8, k) if k > 1 else np.array([0.5])
    shares = [np.full(k, 0.3), np.full(k, 0.8), ramp, ramp[::-1]]
    # Multiples of powers of the root of x**(k+1) = x + 1 fill a box evenly (Roberts 2018).
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (k + 1))
    for i in range(1, asked - 3):
        shares.append((0.5 + i * root ** -np.arange(1.0, k + 1)) % 1.0)
    return [low + (high - low) * x for x in shares[:asked]]


def _met(here: Slopes, bound: bool) -> bool:
    return np.isfinite(here[0]) and (not bound or here[2] > -1e-4 * max(abs(here[0]), 1e-30))


@jax.jit
def _revenue(values: Any, workers: Any, design: Any) -> Any:
    return workers.mean(workers.answer(design.schedule(values)).tax)
