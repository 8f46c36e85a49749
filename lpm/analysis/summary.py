"""What a run came to: end and peak of each observable, over runs and against a baseline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..errors import SimulationError, unknown
from ..trajectory import Trajectory

_BAND = (0.05, 0.95)


@dataclass(frozen=True)
class Estimate:
    """A number over the runs: mean, 5-95% band and standard error of the mean.

    The band and the error say how much luck moves the number, not how wrong the model may be.
    With one run the error is not a number.
    """

    mean: float
    low: float
    high: float
    error: float

    @classmethod
    def of(cls, values: Float[np.ndarray, " run"]) -> "Estimate":
        """Estimate from one value per run."""
        low, high = np.quantile(values, _BAND)
        many = len(values) > 1
        error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if many else float("nan")
        return cls(float(np.mean(values)), float(low), float(high), error)


@dataclass(frozen=True)
class Finding:
    """One line of a summary: `what` ("end", "peak" or "day of peak") of an observable.

    `difference` is policy less baseline, run by run under the same luck where `paired`.
    """

    observable: str
    what: str
    policy: Estimate
    baseline: Estimate | None = None
    difference: Estimate | None = None
    paired: bool = True


def scalars(trajectory: Trajectory) -> list[str]:
    """Names of the observables with one number per run and time."""
    return [n for n, x in trajectory.observed.items() if np.ndim(x) == len(trajectory.lead) + 1]


def by_run(trajectory: Trajectory, observable: str) -> Float[np.ndarray, "run row ..."]:
    """An observable with all leading axes folded into one, also where there is a single run.

    Raises:
        SimulationError: no such observable.
    """
    if observable not in trajectory.observed:
        raise SimulationError(
            unknown("trajectory", "observable", [observable], trajectory.observed)
        )
    values = np.asarray(trajectory.observed[observable], np.float64)
    return values.reshape(-1, *values.shape[len(trajectory.lead) :])


def statistics(trajectory: Trajectory, observable: str) -> dict[str, Float[np.ndarray, " run"]]:
    """End, peak and time of the peak of a scalar observable, one value per run."""
    values = by_run(trajectory, observable)
    when = np.asarray(trajectory.time, np.float64)[values.argmax(axis=1)]
    return {
        "end": values[:, -1],
        "peak": values.max(axis=1),
        f"{trajectory.unit} of peak": when,
    }


def summarise(policy: Trajectory, baseline: Trajectory | None = None) -> list[Finding]:
    """Findings for every scalar observable, compared with `baseline` where there is one.

    Runs are paired where both have the same keys: the difference is then taken run by run and
    its standard error is that of the mean difference; otherwise it is that of two independent
    means. A peak is left out where every run begins or ends with it.
    """
    found = []
    for name in scalars(policy):
        mine = statistics(policy, name)
        there = baseline is not None and name in baseline.observed
        theirs = statistics(baseline, name) if baseline is not None and there else None
        shown = list(mine)
        if _peaks_at_an_end(policy, name) and (
            baseline is None or theirs is None or _peaks_at_an_end(baseline, name)
        ):
            shown = shown[:1]
        for what in shown:
            found.append(_finding(name, what, mine, theirs, same_luck(policy, baseline)))
    return found


def same_luck(policy: Trajectory, baseline: Trajectory | None) -> bool:
    """Whether two trajectories share keys, population and number of runs."""
    if baseline is None:
        return False
    mine, theirs = policy.provenance, baseline.provenance
    people = [p.get("population", {}).get("fingerprint") for p in (mine, theirs)]
    shape = [p.faults and np.shape(next(iter(p.faults.values()))) for p in (policy, baseline)]
    return (
        mine.get("key") is not None
        and mine.get("key") == theirs.get("key")
        and people[0] == people[1]
        and shape[0] == shape[1]
    )


def _finding(
    name: str,
    what: str,
    mine: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray] | None,
    paired: bool,
) -> Finding:
    own = Estimate.of(mine[what])
    if theirs is None or what not in theirs:
        return Finding(name, what, own)
    other = Estimate.of(theirs[what])
    if paired:
        gap = Estimate.of(mine[what] - theirs[what])
    else:
        error = float(np.hypot(own.error, other.error))
        gap = Estimate(own.mean - other.mean, own.low - other.high, own.high - other.low, error)
    return Finding(name, what, own, other, gap, paired)


def _peaks_at_an_end(trajectory: Trajectory, observable: str) -> bool:
    values = by_run(trajectory, observable)
    highest = values.max(axis=1)
    return bool(np.all((values[:, 0] == highest) | (values[:, -1] == highest)))


def number(value: float) -> str:
    """A number for a reader: thousands separators, four figures, a dash for none."""
    if not np.isfinite(value):
        return "-"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1_000:
        return f"{value:,.0f}"
    if size >= 1e-3:
        decimals = max(0, 3 - int(np.floor(np.log10(size))))
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{value:.2e}"


def rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Findings as text cells, one dict per line; the observable is named once."""
    compared = any(f.baseline is not None for f in findings)
    paired = all(f.paired for f in findings)
    table, before = [], ""
    single = all(np.isnan(f.policy.error) for f in findings)
    alone = "value" if single else "mean (5-95% of runs)"
    for finding in findings:
        cells = {
            "observable": "" if finding.observable == before else words(finding.observable),
            "": finding.what,
        }
        if compared:
            cells["baseline"] = _with_band(finding.baseline)
        cells["policy" if compared else alone] = _with_band(finding.policy)
        if compared:
            title = "difference, same luck" if paired else "difference"
            cells[title] = _with_error(finding.difference)
        table.append(cells)
        before = finding.observable
    return table


def reading(findings: Sequence[Finding]) -> str:
    """How to read the cells of `rows`."""
    if all(np.isnan(f.policy.error) for f in findings):
        return "A single run: how much of this is luck cannot be told; give more runs."
    told = "Mean over the runs, in brackets their 5-95% range."
    if any(f.difference is not None for f in findings):
        told += " The difference is policy less baseline, ± its standard error."
    return told + " Both say how much luck matters, not how wrong the model may be."


def words(name: str) -> str:
    """An observable's name as words."""
    return name.replace("_", " ")


def _with_band(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.low == estimate.high:
        return number(estimate.mean)
    return f"{number(estimate.mean)} ({number(estimate.low)} - {number(estimate.high)})"


def _with_error(estimate: Estimate | None) -> str:
    """Difference and standard error, both to the second figure of the error."""
    if estimate is None:
        return "-"
    sign = "+" if estimate.mean > 0 else ""
    if not np.isfinite(estimate.error):
        return f"{sign}{number(estimate.mean)}"
    if estimate.error == 0:
        return f"{sign}{number(estimate.mean)} ± {number(estimate.error)}"
    decimals = 1 - int(np.floor(np.log10(estimate.error)))
    if decimals > 6:
        return f"{sign}{number(estimate.mean)} ± {number(estimate.error)}"
    mean, error = round(estimate.mean, decimals), round(estimate.error, decimals)
    shown = max(decimals, 0)
    return f"{sign}{mean:,.{shown}f} ± {error:,.{shown}f}"
