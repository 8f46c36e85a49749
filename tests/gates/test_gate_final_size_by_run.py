"""Final size of an epidemic under full mixing: its mean, its width, and by age band."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

import lpm
from lpm import Array, Draw, Float, Scalar, epidemiology as epi
from scenarios import kermack_mckendrick as km
from tests.gates import setting, theory, wrong

pytestmark = pytest.mark.study

PEOPLE, RUNS, PERIOD, SEEDED = 40_000, 250, 2, 0.02
# Three standard errors for the mean; both tails of chi-square together for the variance.
NUM_SE, LEVEL = 3.0, 0.002


def attack_rates(scenario: lpm.Scenario, reproduction: float, runs: int = RUNS) -> np.ndarray:
    """Attack rate of each run, followed until what is still to come is far below its error."""
    expected = theory.sir_map(reproduction / PERIOD, 1 / PERIOD, SEEDED, 400)[:, 1]
    steps = int(np.argmax(PEOPLE * expected < 0.2))
    run = lpm.ensemble(
        scenario,
        setting.people(PEOPLE),
        keys=setting.keys(runs, seed=round(10 * reproduction)),
        params=scenario.params.replace(R0=reproduction, period=PERIOD, seeded=SEEDED),
        steps=steps,
        keep_state=False,
        progress=False,
        devices=1,
    )
    return run.observed["attack_rate"][:, -1].astype(float)


def mean_is_off(attack: np.ndarray, expected: float) -> bool:
    return abs(attack.mean() - expected) > NUM_SE * setting.standard_error(attack)


def width_is_off(ratios: list[float], freedom: int) -> bool:
    """Whether variances over those of theory, of `freedom` each, are not chi-square together."""
    total = freedom * len(ratios)
    low, high = chi2.ppf([LEVEL / 2, 1 - LEVEL / 2], total)
    return not low < freedom * sum(ratios) < high


@pytest.mark.parametrize("kind", ["fixed", "geometric"])
def test_final_size_has_the_mean_and_the_width_of_theory(kind, report):
    scenario = km.fixed if kind == "fixed" else km.scenario
    variation = {"fixed": 0.0, "geometric": theory.geometric_variation(PERIOD)}
    ratios = {"fixed": [], "geometric": []}
    for reproduction in (1.5, 2.0, 3.0):
        attack = attack_rates(scenario, reproduction)
        z = theory.final_size(reproduction, SEEDED)
        scaled = float(attack.std(ddof=1) * np.sqrt(PEOPLE))
        widths = {law: theory.final_size_sd(reproduction, z, c) for law, c in variation.items()}
        report(f"mean, R0 = {reproduction}", float(attack.mean()), z)
        report(f"sd times sqrt(N), R0 = {reproduction}", scaled, widths[kind])
        assert not mean_is_off(attack, z)
        assert not width_is_off([scaled**2 / widths[kind] ** 2], RUNS - 1)
        for law, width in widths.items():
            ratios[law].append(scaled**2 / width**2)
    assert not width_is_off(ratios[kind], RUNS - 1)
    # The widths of the two infectious periods are told from each other.
    assert width_is_off(ratios["geometric" if kind == "fixed" else "fixed"], RUNS - 1)


def test_the_known_roots_and_widths():
    for reproduction, z in ((1.5, 0.58281), (2.0, 0.79681), (3.0, 0.94048)):
        assert theory.final_size(reproduction) == pytest.approx(z, abs=5e-6)
    z = theory.final_size(2.0)
    assert theory.final_size_sd(2.0, z, 0.0) == pytest.approx(0.678, abs=5e-4)
    assert theory.final_size_sd(2.0, z, 1.0) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize("process", [wrong.linearised, wrong.infect_then_recover])
def test_a_wrong_step_misses_the_final_size(process, report):
    attack = attack_rates(setting.with_process(km.scenario, process), 2.0, runs=50)
    z = theory.final_size(2.0, SEEDED)
    report("mean", float(attack.mean()), z)
    assert mean_is_off(attack, z)


class AgeParams(lpm.Params):
    R0: Scalar = lpm.parameter(2.0, within=(0, 30))
    period: Scalar = lpm.constant(3)
    seeded: Scalar = lpm.constant(0.01)
    susceptibility: Float[Array, " age"] = lpm.constant(
        [0.35, 0.69, 1.03, 1.03, 1.03, 1.03, 1.27, 1.52, 1.52]
    )


class AgeState(lpm.State):
    contacts: lpm.Mixing
    susceptible: Float[Array, " agent"]
    infectious: Float[Array, " agent"]
    scale: Scalar


SHARES = np.array([0.11, 0.11, 0.14, 0.16, 0.13, 0.12, 0.11, 0.07, 0.05])


def contact_matrix() -> np.ndarray:
    """Contacts/step that prefer one's own age and the next generation; reciprocal."""
    age = np.arange(9.0)
    apart = np.abs(age[:, None] - age[None])
    weight = np.exp(-apart / 1.5) + 0.4 * np.exp(-((apart - 3) ** 2)) + 0.1
    return 10 * weight * SHARES[None] / np.sum(weight * SHARES[None] * SHARES[:, None])


def init_by_age(population: lpm.Population, params: AgeParams, draw: Draw) -> AgeState:
    infectious = draw.bernoulli(params.seeded, "agent")
    sizes = jnp.asarray(np.bincount(population.host("band")), jnp.float32)
    mixing = jnp.asarray(contact_matrix(), jnp.float32)

    def matrix(scale: Scalar) -> Array:
        return epi.next_generation(scale, params.susceptibility, [], mixing, sizes)

    return AgeState.of(
        population,
        contacts=lpm.Mixing(population["band"], mixing),
        susceptible=1 - infectious,
        infectious=infectious,
        scale=epi.solve_scale(params.R0, matrix),
    )


def infect_by_age(state: AgeState, params: AgeParams, draw: Draw) -> AgeState:
    rate = state.scale / params.period * params.susceptibility[state.contacts.class_of]
    infected = lpm.infections(draw, state.susceptible, [(state.contacts, rate, state.infectious)])
    recovered = draw.bernoulli(state.infectious / params.period)
    return state.replace(
        susceptible=state.susceptible - infected,
        infectious=state.infectious + infected - recovered,
    )


def infect_from_transposed(state: AgeState, params: AgeParams, draw: Draw) -> AgeState:
    turned = lpm.Mixing(state.contacts.class_of, state.contacts.contacts.T)
    return infect_by_age(state.replace(contacts=turned), params, draw)


def observe_by_age(state: AgeState, params: AgeParams) -> dict[str, Array]:
    reached = lpm.count_by(1 - state.susceptible, state.contacts.class_of, 9)
    return {"attack": reached / state.contacts.people, "scale": state.scale}


def attack_by_age(process, number: int) -> tuple[np.ndarray, float]:
    band = np.repeat(np.arange(9), np.round(400_000 * SHARES).astype(int)).astype(np.int32)
    scenario = lpm.Scenario(init_by_age, (process,), observe_by_age, AgeParams(), steps=60)
    seen = lpm.ensemble(
        scenario,
        lpm.Population({"band": band}),
        keys=setting.keys(number),
        keep_state=False,
        progress=False,
        devices=1,
        every=60,
    ).observed
    return seen["attack"][:, -1].mean(axis=0), float(seen["scale"][0, -1])


def expected_by_age(scale: float) -> np.ndarray:
    """Attack rates of theory after a check that the scale gives R0 = 2, by another eigenvalue."""
    params = AgeParams()
    exposure = scale * params.susceptibility[:, None].astype(float) * contact_matrix()
    assert max(abs(np.linalg.eigvals(exposure))) == pytest.approx(2.0, rel=1e-4)
    return theory.multitype_attack(exposure, 0.01)


def test_final_size_by_age_follows_the_next_generation_matrix(report):
    attack, scale = attack_by_age(infect_by_age, 6)
    expected = expected_by_age(scale)
    error = np.abs(attack - expected).max()
    report("attack by band", np.round(attack, 4).tolist())
    report("theory by band", np.round(expected, 4).tolist())
    report("largest error", float(error))
    assert error < 0.005


def test_a_transposed_contact_matrix_misses_the_final_size_by_age(report):
    attack, scale = attack_by_age(infect_from_transposed, 2)
    error = np.abs(attack - expected_by_age(scale)).max()
    report("largest error", float(error))
    assert error > 0.005
