"""Early growth, the chance of an outbreak, and convergence to the equations of large numbers."""

import numpy as np
import pytest

import lpm
from scenarios import kermack_mckendrick as km, seir
from tests.gates import setting, theory, wrong

pytestmark = pytest.mark.study

R0, PERIOD = 2.0, 5
BETA, SIGMA, GAMMA = 0.5, 1 / 3, 1 / 5

# --- growth -------------------------------------------------------------------------------------


def growth(cases: np.ndarray, first: int, rate: float) -> float:
    """Slope of log cases, pooled over runs, over two doublings from row `first`."""
    last = first + round(2 * np.log(2) / rate)
    log_cases = np.log(cases.astype(float).sum(axis=0))[first : last + 1]
    return float(np.polyfit(np.arange(len(log_cases)), log_cases, 1)[0])


def sir_cases(scenario: lpm.Scenario, number: int) -> np.ndarray:
    changes = {"R0": R0, "period": PERIOD, "seeded": 0.0006}
    return setting.runs(scenario, 1_000_000, number, 9, **changes).observed["infectious"]


def test_growth_is_that_of_the_steps_own_renewal_equation(report):
    expected = theory.step_growth(theory.geometric_profile(R0 / PERIOD, 1 / PERIOD))
    measured = growth(sir_cases(km.scenario, 64), 0, expected)
    report("growth per step", measured, expected)
    # 2 % of the spec card; chance and the depletion of susceptibles take less than half of it.
    assert measured == pytest.approx(expected, rel=0.02)
    # The differential equation with the same rates grows by 10 % more: the step is not it.
    assert measured != pytest.approx((R0 - 1) / PERIOD, rel=0.02)


def test_a_wrong_order_grows_otherwise(report):
    expected = theory.step_growth(theory.geometric_profile(R0 / PERIOD, 1 / PERIOD))
    cases = sir_cases(setting.with_process(km.scenario, wrong.infect_then_recover), 8)
    measured = growth(cases, 0, expected)
    report("growth per step", measured, expected)
    assert measured != pytest.approx(expected, rel=0.02)


def test_growth_with_a_latent_stage_is_that_of_its_renewal_equation(report):
    expected = theory.step_growth(theory.seir_profile(BETA, SIGMA, GAMMA, 1.0))
    # The faster of the two modes of the step has died out to a thousandth after ten days.
    seen = setting.runs(seir.scenario, 1_000_000, 12, 21, seeded=0.0006).observed
    measured = growth(seen["exposed"] + seen["infectious"], 10, expected)
    report("growth per day", measured, expected)
    assert measured == pytest.approx(expected, rel=0.02)
    assert measured != pytest.approx(theory.seir_growth(BETA, SIGMA, GAMMA), rel=0.02)


def test_the_differential_equation_grows_as_on_its_card(report):
    rate = theory.seir_growth(BETA, SIGMA, GAMMA)
    assert rate == pytest.approx(0.146989, abs=1e-6)
    times = np.arange(30.0, 60.0)
    infectious = theory.seir_ode(BETA, SIGMA, GAMMA, 1e-9, times)[:, 2]
    measured = float(np.polyfit(times, np.log(infectious), 1)[0])
    report("growth per day", measured, rate)
    assert measured == pytest.approx(rate, rel=1e-4)
    # And the step's own growth becomes it, to first order in the step.
    steps = [
        theory.step_growth(theory.seir_profile(BETA, SIGMA, GAMMA, day)) / day for day in (0.2, 0.1)
    ]
    errors = [abs(step - rate) for step in steps]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.15)


# --- threshold ----------------------------------------------------------------------------------


def outbreaks(scenario: lpm.Scenario, size: int, number: int, steps: int, **changes: float):
    """People ever infected in each run from one index case."""
    run = setting.runs(setting.index_cases(scenario, 1), size, number, steps, **changes)
    return run.observed["attack_rate"][:, -1].astype(float) * size


def test_below_the_threshold_an_outbreak_does_not_grow_with_the_population(report):
    # In an infinite population one case and its heirs are 1 / (1 - R0) = 20 on average; among few
    # people the largest outbreaks are cut.
    means = []
    for size in (1000, 8000):
        expected = theory.reed_frost_mean(0.95, size)
        cases = outbreaks(km.fixed, size, 600, 120, R0=0.95, period=1)
        report(f"mean outbreak, N = {size:,}", float(cases.mean()), expected)
        assert abs(cases.mean() - expected) < 3 * setting.standard_error(cases)
        means.append(cases.mean())
    assert max(means) < 20 + 3 * setting.standard_error(cases)


def test_above_the_threshold_an_outbreak_does_grow_with_the_population(report):
    shares = [outbreaks(km.fixed, n, 200, 60, R0=1.5, period=1).mean() / n for n in (1000, 8000)]
    report("mean outbreak over N", shares[1])
    assert shares[1] > 0.5 * shares[0] > 0.1


@pytest.mark.parametrize("kind", ["fixed", "geometric"])
def test_an_outbreak_from_one_case_is_large_as_often_as_a_branching_process_survives(kind, report):
    laws = {
        "fixed": theory.poisson_offspring(R0),
        "geometric": theory.geometric_offspring(R0, 3),
    }
    survive = {name: 1 - theory.extinction(law) for name, law in laws.items()}
    scenario = km.fixed if kind == "fixed" else km.scenario
    cases = outbreaks(scenario, 1024, 4096, 60, R0=R0, period=3)
    # Final sizes are near 0 or near 80 %; none lies between.
    large = float((cases > 200).mean())
    report("share of large outbreaks", large, survive[kind])
    error = np.sqrt(survive[kind] * (1 - survive[kind]) / len(cases))
    assert abs(large - survive[kind]) < 3 * error
    # The law of the other infectious period, and of exponential periods (1/2), are excluded.
    other = survive["geometric" if kind == "fixed" else "fixed"]
    assert abs(large - other) > 3 * error
    assert abs(large - 0.5) > 3 * error


# --- large numbers ------------------------------------------------------------------------------


def sup_errors(scenario: lpm.Scenario, size: int, number: int) -> np.ndarray:
    """Largest distance of each run from the step's own map over 40 steps, in S and in I."""
    changes = {"R0": R0, "period": PERIOD, "seeded": 0.01}
    seen = setting.runs(scenario, size, number, 40, **changes).observed
    expected = theory.sir_map(R0 / PERIOD, 1 / PERIOD, 0.01, 40)[1:]
    susceptible = np.abs(1 - seen["attack_rate"] - expected[None, :, 0])
    infectious = np.abs(seen["infectious"] / size - expected[None, :, 1])
    return np.maximum(susceptible, infectious).max(axis=1)


def slope(scenario: lpm.Scenario, sizes: tuple[int, ...], number: int, report) -> float:
    errors = [sup_errors(scenario, size, number) for size in sizes]
    for size, error in zip(sizes, errors, strict=True):
        report(
            f"95% of sup error x sqrt(N), N = {size:,}", float(np.quantile(error, 0.95) * size**0.5)
        )
    return float(np.polyfit(np.log(sizes), np.log([np.median(e) for e in errors]), 1)[0])


def test_runs_approach_the_map_of_their_step_as_one_over_root_n(report):
    measured = slope(km.scenario, (10_000, 100_000, 1_000_000), 50, report)
    report("log-log slope", measured, -0.5)
    # 0.1 of the spec card: the median of 50 runs gives the slope a standard error of 0.03.
    assert measured == pytest.approx(-0.5, abs=0.1)


def test_a_linearised_hazard_does_not_approach_the_map(report):
    scenario = setting.with_process(km.scenario, wrong.linearised)
    measured = slope(scenario, (10_000, 100_000, 1_000_000), 6, report)
    report("log-log slope", measured, -0.5)
    assert measured != pytest.approx(-0.5, abs=0.1)


def sup_distance(day: float) -> float:
    """Between map and differential equation over 200 days, in S, E, I and R."""
    steps = theory.seir_map(BETA, SIGMA, GAMMA, 0.01, day, 200)
    exact = theory.seir_ode(BETA, SIGMA, GAMMA, 0.01, np.arange(len(steps)) * day)
    error = np.abs(steps - exact).max()
    return float(max(error, np.abs(steps.sum(axis=1) - exact.sum(axis=1)).max()))


def test_the_map_approaches_the_differential_equation_to_first_order(report):
    daily, tenth = sup_distance(1.0), sup_distance(0.1)
    report("sup distance at a day", daily, 0.067)
    report("sup distance at a tenth of a day", tenth, 0.006)
    # The figures of the spec card, to the digits it gives.
    assert daily == pytest.approx(0.067, abs=5e-4)
    assert tenth == pytest.approx(0.006, abs=5e-4)
    order = float(np.log2(sup_distance(0.1) / sup_distance(0.05)))
    report("order", order, 1.0)
    assert order == pytest.approx(1, abs=0.15)


def test_the_agents_follow_that_map_at_a_tenth_of_a_day(report):
    day, size = 0.1, 200_000
    seen = setting.runs(seir.scenario, size, 2, 400, day=day).observed
    runs = np.stack([seen[kind] for kind in ("susceptible", "exposed", "infectious")], axis=-1)
    expected = theory.seir_map(BETA, SIGMA, GAMMA, 0.01, day, 40)[1:]
    error = float(np.abs(runs.mean(axis=0) - expected).max())
    report("sup error x sqrt(N)", error * (2 * size) ** 0.5)
    # About 7 / sqrt(N) is the 95% value of the spec card.
    assert error < 10 / (2 * size) ** 0.5
    daily = theory.seir_map(BETA, SIGMA, GAMMA, 0.01, 1.0, 40)[1:]
    assert np.abs(runs[:, 9::10].mean(axis=0) - daily).max() > 10 / (2 * size) ** 0.5
