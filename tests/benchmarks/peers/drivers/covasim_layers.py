"""Covasim: its hybrid population, and its disease made SIR by its own parameters.

Nobody has symptoms, infectiousness is the same for all people, ages and days, and nothing wanes.
A latent day and ten infectious ones are ten steps that infect: who is infected in a step can infect
from the next. The seeded are latent in the first step, which does nothing, so it takes one more.
"""

import sys

import covasim as cv
import meter
import town

cv.options(verbose=0)
STEPS = int(sys.argv[2])


def always(value):
    return {"dist": "uniform", "par1": value, "par2": value}


def build(size, seed):
    days = {"exp2inf": always(1), "asym2rec": always(town.DURATION)}
    sim = cv.Sim(
        pop_size=size,
        pop_type="hybrid",
        pop_infected=int(size * town.SEEDED),
        n_days=STEPS,
        beta=town.CHANCE,
        beta_dist=always(1),
        viral_dist={"frac_time": 0.5, "load_ratio": 1, "high_cap": 4},
        dur=cv.make_pars()["dur"] | days,
        rel_symp_prob=0,
        asymp_factor=1,
        prognoses=cv.get_prognoses(by_age=False),
        use_waning=False,
        rescale=False,
        rand_seed=seed,
        verbose=0,
    )
    sim.initialize()
    return sim


def run(sim, steps):
    sim.run(verbose=0)


def summarise(sim):
    return town.summaries(sim.people.age, ~sim.people.susceptible)


meter.main(build, run, summarise)
