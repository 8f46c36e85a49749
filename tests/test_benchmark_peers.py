"""The harness beside peers: what does not agree is not timed, and ratios are those of the rates."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lpm
from lpm.fitting.chance import generator_for
from scenarios import sugarscape
from tests.benchmarks.peers import __main__ as harness, layers, machine, ours, report
from tests.benchmarks.peers.drivers import town
from tests.benchmarks.peers.rows import ROWS

DRIVERS = Path(harness.__file__).parent / "drivers"
ROW = next(row for row in ROWS if row.name == "fixed network")


def runs(values, cpu=1.0):
    return [{"summary": {"attack_rate": x}, "run": {"wall": 2 * cpu, "cpu": cpu}} for x in values]


def test_summaries_agree_within_sampling_error_and_slack_only():
    theirs = runs([0.70, 0.72, 0.71, 0.69, 0.73])
    near, far = runs([0.74, 0.75, 0.73, 0.74, 0.74]), runs([0.84, 0.85, 0.83, 0.84, 0.84])
    assert harness.compare(ROW, {"ours": near, "theirs": theirs})[0]["agree"]
    assert not harness.compare(ROW, {"ours": far, "theirs": theirs})[0]["agree"]


def test_a_rate_counts_agents_steps_and_runs_of_the_best_time():
    found = {"size": 100, "steps": 10, "runs": runs([0.1], cpu=4.0) + runs([0.1], cpu=2.0)}
    assert harness.rate(found, "cpu") == 500
    assert harness.rate(found, "wall", runs=1000) == 250_000


def test_what_differs_is_not_timed(monkeypatch):
    said = iter([{"runs": runs([0.9] * 5)}, {"runs": runs([0.7, 0.71, 0.7, 0.7, 0.72])}])
    monkeypatch.setattr(harness, "call", lambda command, limit: next(said))
    found = harness.measure(ROW, Path("nowhere"), 1, 1.0)
    assert "nothing was timed" in found["error"]
    assert "cpu_ratio" not in found
    assert "attack_rate 0.9000 / 0.7060" in report.line(found, {"triad": 1e9})


def test_a_driver_that_fails_says_why():
    with pytest.raises(SystemExit, match="no such thing"):
        harness.call([sys.executable, "-c", "raise SystemExit('no such thing')"], 60)


def test_a_driver_reports_each_seed(tmp_path):
    script = tmp_path / "driver.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(DRIVERS)!r})\n"
        "import meter\n"
        "meter.main(lambda n, seed: [n * seed], lambda m, steps: m.append(steps), "
        "lambda m: {'total': sum(m)})\n"
    )
    found = harness.call([sys.executable, str(script), "7", "3", "1", "2", "--warm", "5"], 60)
    assert [run["summary"]["total"] for run in found["runs"]] == [10, 17]
    assert found["warm_size"] == 5
    assert found["peak_rss_mib"] > 1


def test_each_row_names_a_driver_that_is_there():
    assert {row.driver[0] for row in ROWS} <= {path.stem for path in DRIVERS.glob("*.py")}
    assert {row.work for row in ROWS} <= set(ours.WORK)
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_each_row_names_a_work_of_ours():
    assert {row.work for row in ROWS} <= set(ours.WORK)


def gathered(growback, seeds):
    scenario, verb, populate = ours.WORK["sugarscape"]
    changed = scenario.replace(params=scenario.params.replace(growback=growback))
    return [{"summary": verb(changed, populate(500, seed), 20, seed)} for seed in seeds]


def test_what_is_said_of_gatherers_is_what_their_final_state_holds():
    town = ours.people(500, 3)
    end = lpm.simulate(sugarscape.scenario, town, key=3, steps=20, progress=False).state
    assert isinstance(end, sugarscape.State)
    alive = np.asarray(end.alive)
    found = gathered(1.0, [3])[0]["summary"]
    assert 0.3 < found["survivors"] < 0.9
    assert found["survivors"] == pytest.approx(alive.sum() / 500)
    # Whole units of sugar: single precision holds their sum; the mean is rounded once.
    assert found["wealth"] == pytest.approx(np.asarray(end.sugar)[alive].mean(), rel=1e-6)


@pytest.mark.gate
def test_slacks_of_the_sugarscape_accept_other_luck_and_refuse_another_growback():
    row = next(row for row in ROWS if row.name == "sugarscape")
    here, there = gathered(1.0, range(1, 9)), gathered(1.0, range(11, 19))
    assert all(found["agree"] for found in harness.compare(row, {"ours": here, "theirs": there}))
    richer = gathered(2.0, range(11, 19))
    assert not all(
        found["agree"] for found in harness.compare(row, {"ours": here, "theirs": richer})
    )


def test_the_machine_moves_bytes_without_a_compiler(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    monkeypatch.setattr(machine, "_LENGTH", 200_000)
    monkeypatch.setattr(machine, "_READS", 400_000)
    found = machine.measure()
    assert found["by"] == "NumPy"
    assert 1e6 < found["triad"] < 1e13
    assert set(found["reads"]) == {"125000", "1000000", "10000000"}
    json.dumps(found)


def test_a_town_has_as_many_fellow_members_in_each_layer_as_peers_have_contacts():
    people = town.draw(100_000, 1)
    age = people["age"]
    pupils, workers = town.is_within(age, town.PUPILS), town.is_within(age, town.WORKERS)
    assert ((people["day_id"] >= 0) == (pupils | workers)).all()
    assert not set(people["day_id"][pupils]) & set(people["day_id"][workers])
    everybody = np.ones(age.size, bool)
    for who, column, name in (
        (everybody, "home_id", "home"),
        (pupils, "day_id", "school"),
        (workers, "day_id", "work"),
    ):
        groups = people[column][who]
        fellows = np.bincount(groups)[groups] - 1
        # Groups of Poisson sizes: a mean over people has the variance mean (mean + 2) / people;
        # one's own number is Poisson, and mean + 1 people share it.
        mean = town.CONTACTS[name]
        assert abs(fellows.mean() - mean) < 4.5 * np.sqrt(mean * (mean + 2) / who.sum())
        rough = np.sqrt(2.5 * (mean + 1) / who.sum())
        assert fellows.var() == pytest.approx(mean, rel=4.5 * rough)
    # Shares of Covasim's table by single ages: 16 years at school, 43 at work.
    shares = np.repeat(town.SHARES[:18] / 5, 5)
    assert pupils.mean() == pytest.approx(shares[6:22].sum(), abs=0.006)
    assert workers.mean() == pytest.approx(shares[22:65].sum(), abs=0.007)


def pairs_within(groups, who):
    """Ordered pairs of fellow members, from all pairs."""
    alike = (groups[:, None] == groups[None]) & who[:, None] & who[None]
    np.fill_diagonal(alike, val=False)
    return np.nonzero(alike)


def attack_by_pairs(people, rates, steps, rng):
    """Share ever infected where each ill of a pair, and each stranger met, passes by a coin."""
    age, size = people["age"], people["age"].size
    ties = [
        (*pairs_within(people["home_id"], age >= 0), rates["home"]),
        (*pairs_within(people["day_id"], town.is_within(age, town.PUPILS)), rates["school"]),
        (*pairs_within(people["day_id"], town.is_within(age, town.WORKERS)), rates["work"]),
    ]
    left = np.where(rng.random(size) < 0.05, 10, 0)
    for _ in range(steps):
        strangers = np.repeat(np.arange(size), rng.poisson(20, size))
        met = (strangers, rng.integers(0, size, strangers.size), rates["community"])
        caught = np.zeros(size, bool)
        for one, other, rate in (*ties, met):
            caught[one[(left[other] > 0) & (rng.random(one.size) < rate)]] = True
        caught &= left == 0
        left = np.where(left > 1, left - 1, np.where(left == 1, -1, left))
        left[caught] = 10
    return (left != 0).mean()


def test_layers_infect_as_coins_of_every_pair_do_and_no_layer_is_idle():
    people, rates = town.draw(600, 2), {"home": 0.03, "school": 0.01, "work": 0.01}
    rates["community"] = 0.003
    steps, runs = 30, 40
    rng = generator_for(jnp.zeros((1, 2), jnp.uint32), "pairs")
    truth = [attack_by_pairs(people, rates, steps, rng) for _ in range(runs)]

    def attack(**changed):
        params = layers.Params(seeded=jnp.float32(0.05), **jax.tree.map(jnp.float32, changed))
        found = lpm.ensemble(
            layers.scenario,
            lpm.Population(people),
            keys=jax.random.split(jax.random.key(1), runs),
            params=params,
            steps=steps,
            every=steps,
            progress=False,
        )
        return np.asarray(found.observed["attack_rate"])[:, -1]

    def sigmas(mine):
        error = np.hypot(np.std(truth, ddof=1), np.std(mine, ddof=1)) / np.sqrt(runs)
        return abs(np.mean(mine) - np.mean(truth)) / error

    assert sigmas(attack(**rates)) < 4.5
    for name in rates:
        assert sigmas(attack(**{**rates, name: 0.0})) > 4.5


def test_pupils_and_workers_in_one_network_meet_as_in_two():
    people = town.draw(2000, 1)
    params = layers.Params()
    first = layers.scenario.replace(steps=1)
    state = lpm.simulate(first, lpm.Population(people), key=1, progress=False).state
    assert isinstance(state, layers.State)
    home, both, community = layers.reached(state, params)
    pupil = town.is_within(people["age"], town.PUPILS)
    infectious = both[2]
    school = lpm.Groups(np.where(pupil, people["day_id"], -1))
    work = lpm.Groups(np.where(pupil, -1, people["day_id"]))
    apart = [
        home,
        (school, -jnp.log1p(-params.school), infectious),
        (work, -jnp.log1p(-params.work), infectious),
        community,
    ]
    together = lpm.hazard([home, both, community])
    assert float(together.max()) > 0
    np.testing.assert_allclose(lpm.hazard(apart), together, rtol=1e-5)
