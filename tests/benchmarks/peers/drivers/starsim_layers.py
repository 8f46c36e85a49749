"""Starsim: SIR over the four layers of its hybrid network, drawn once.

It infects before it counts down, so that a duration of 11 gives ten infectious steps.
"""

import sys

import meter
import numpy as np
import starsim as ss
import town

ss.options(verbose=0)
STEPS = int(sys.argv[2])


def build(size, seed):
    # Starsim takes the upper end of the last band from one more, empty band.
    ages = np.column_stack([town.EDGES, np.append(1e4 * town.SHARES, 0)])
    disease = ss.SIR(
        beta=ss.probperday(town.CHANCE),
        dur_inf=ss.constant(ss.days(town.DURATION + 1)),
        init_prev=ss.bernoulli(town.SEEDED),
        p_death=ss.bernoulli(0),
    )
    sim = ss.Sim(
        people=ss.People(size, age_data=ages),
        # Targets as Covasim draws them; otherwise numbers of contacts would vary twice as much.
        networks=ss.HybridNet(uniform_targets=True),
        diseases=disease,
        dt=ss.days(1),
        dur=ss.days(STEPS),
        rand_seed=seed,
        verbose=0,
    )
    sim.init()
    return sim


def run(sim, steps):
    sim.run()


def summarise(sim):
    return town.summaries(np.asarray(sim.people.age), ~np.asarray(sim.diseases.sir.susceptible))


meter.main(build, run, summarise)
