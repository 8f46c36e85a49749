"""Workers, taxpayers, voters and a planner who are asked, in economies that answer taxes.

python -m calibration.persona_economy --out FOLDER                     rules in place of a model
python -m calibration.persona_economy --model NAME --url URL --out ... any server of your own

Without `--model` the answers are those of documented rules with a known truth
(`calibration/persona_teachers.py`), through the same questions, transcripts and surfaces. No
language model was asked for the page beside this file; the rules are made up, and so is what they
say about people. Transcripts are written to FOLDER and answer a second run.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from calibration import llm_economy as paper, persona_teachers as teachers, persona_workers as asked
from lpm import economics as econ, personas
from lpm.fitting.chance import generator_for
from lpm.population import workers
from scenarios import tax_economy, tax_vote

ANCHORS, YEARS = 24, 60
LAWS = {"today": tax_economy.TODAY, "flat 35 %": {}, "flat 60 %": {"rates": [0.6] * 8}}
SEEN = ("hours", "income", "revenue", "gini", "welfare_isoelastic")
Asker = Callable[[str, personas.Respondent], tuple[personas.Respondent, dict[str, Any]]]


def labour(size: int, asker: Asker) -> dict[str, Any]:
    """Elasticities from answers, and the tax economy with them, alike, and dealt out at random."""
    people = workers(size, seed=1)
    cells = personas.cells_of(people, asked.WORKERS, least=5.0)
    anchors = personas.choose_anchors(cells, ANCHORS, seed=1)
    respondent, options = asker("hours", teachers.Worker())
    answers = asked.answers_of(asked.HOURS_BY_SHARE, cells, anchors.cell, respondent, **options)
    surface = personas.surface_of(answers, floor=0.02, out_of=1e4)
    learnt = personas.learn(surface, anchors, cells, jax.random.key(0), members=3, width=16)
    table = learnt.ridge.surface if learnt.chosen != "net" else learnt.net.tabulated()
    found = personas.elasticities(table, now=teachers.NOW)
    true = np.array([teachers.elasticity_of(cells.describe(i)) for i in range(len(cells))])
    rest = np.setdiff1d(np.arange(len(cells)), anchors.cell)
    joint, mean = asked.with_answers(people, cells, found.value)
    luck = generator_for(jnp.zeros((1, 2), jnp.uint32), "who is like whom")
    dealt = {name: joint.host(name) for name in joint.columns}
    dealt["own_response"] = luck.permutation(dealt["own_response"])
    given = {"alike": people, "joint": joint, "dealt out": lpm.Population(dealt)}
    return {
        "cells": len(cells),
        "anchors": len(anchors),
        "questions": answers.values[..., 0].size,
        "scores": dict(learnt.scores),
        "used": learnt.chosen,
        "elasticity": {
            "mean": mean,
            "least": float(found.value.min()),
            "most": float(found.value.max()),
            "misfit": float(found.misfit.mean()),
            "error of asked cells": _rms(found.value[anchors.cell] - true[anchors.cell]),
            "error of other cells": _rms(found.value[rest] - true[rest]),
            "true sd of cells": float(true.std()),
        },
        "economy": {
            name: {law: _year(each, mean, change) for law, change in LAWS.items()}
            for name, each in given.items()
        },
    }


def _year(people: lpm.Population, mean: float, change: dict[str, Any]) -> dict[str, float]:
    fixed = {"rebate": 1.0, "shock": 0.0, "elasticity": mean}
    params = tax_economy.scenario.params.replace(**{**change, **fixed})
    run = lpm.simulate(tax_economy.scenario, people, key=0, steps=1, params=params, devices=1)
    return {name: float(np.asarray(run.observed[name])[-1]) for name in SEEN}


def satisfaction(size: int, asker: Asker) -> dict[str, Any]:
    """R5: thresholds fitted to two wordings, held against the third; welfare with and without r."""
    people = workers(size, seed=1)
    cells = personas.cells_of(people, asked.WORKERS, least=5.0)
    anchors = personas.choose_anchors(cells, ANCHORS, seed=1)
    respondent, options = asker("satisfaction", teachers.Payer())
    answers = asked.answers_of(asked.SATISFIED_BY_RATE, cells, anchors.cell, respondent, **options)
    first, last = (
        personas.Answers(answers.knots, answers.actions, answers.values[:, :, part])
        for part in (slice(0, 2), slice(2, 3))
    )
    found = personas.fit_thresholds(first)
    share = float(first.values[..., 1].mean())
    true = np.array([teachers.bearable_of(text) for text in anchors.descriptions])
    weight = jnp.asarray(people.host("weight"), jnp.float32)
    bearable = found.bearable[anchors.nearest][cells.cell_of]
    feels = econ.Satisfaction(found.steepness, jnp.asarray(bearable, jnp.float32))
    force = econ.Workforce.of(
        econ.back_out(
            tax_economy.LAW, jnp.asarray(people.host("could_earn"), jnp.float32), 0.3
        ).potential,
        0.3,
        weight=weight,
    )
    welfare = {}
    for name, law in {
        "today": tax_economy.LAW,
        **{
            f"flat {rate:.0%}": paper.flat(rate)
            for rate in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        },
    }.items():
        done = force.answer(law)
        utility = done.utility + force.mean(done.tax)
        cared = 1 / jnp.maximum(done.income, tax_economy.scenario.params.floor)

        def mean(x: Any, cared: Any = cared) -> float:
            return float(force.mean(cared * x) / force.mean(cared))

        welfare[name] = {
            "mean r": float(force.mean(feels(done.tax, done.income))),
            "without r": mean(utility),
            "r times utility": mean(feels.felt(utility, done.tax, done.income)),
            "less 20,000 (1 - r)": mean(
                feels.felt(utility, done.tax, done.income, amount=20_000.0)
            ),
        }
    return {
        "questions": answers.values[..., 0].size,
        "steepness": found.steepness,
        "true steepness": teachers.STEEPNESS,
        "error of bearable rates": _rms(found.bearable - true),
        "log loss of new answers": found.loss(last),
        "log loss of a constant": personas.constant_loss(share, last),
        "welfare": welfare,
    }


def planners(size: int, asker: Asker) -> dict[str, Any]:
    """A planner who is asked beside one who follows the gradient, on the economy of row R4."""
    people, aim = paper.recalibrated(size)

    def economy(rates: Any) -> float:
        return float(paper.worth(people, aim, econ.Schedule(paper.US_EDGES, rates)))

    told = {"US 2024": {"rates": list(paper.US_RATES), "welfare": economy(paper.US_RATES)}}
    minister = personas.Persona("planner", "You are the minister of finance of the country.")
    legislator = personas.Legislator(minister, paper.US_EDGES)
    respondent, options = asker("planner", teachers.Climber())
    reign = personas.govern(
        legislator, economy, respondent, start=[0.5] * 7, years=YEARS, **options
    )
    told["asked, at the start"] = {"rates": [0.5] * 7, "welfare": reign.years[0].welfare}
    for years in (10, 20, YEARS):
        best = max(reign.years[: years + 1], key=lambda year: year.welfare)
        told[f"asked, best of {years} years"] = {
            "rates": list(best.rates),
            "welfare": best.welfare,
        }
    stepped, _ = paper.walk(lambda law: paper.worth(people, aim, law), paper.US_EDGES, 30)
    told["every step judged rightly"] = {"rates": stepped, "welfare": economy(stepped)}
    best = econ.plan(people, aim, econ.brackets(paper.US_EDGES), errors=False)
    told["gradient"] = {"rates": best.values.tolist(), "welfare": best.welfare}
    return told


def votes(size: int, asker: Asker) -> dict[str, Any]:
    """Where votes lead that are cast as personas say, beside votes for the own income."""
    town = lpm.Population.toy(size, seed=3)
    cells = personas.cells_of(town, tax_vote.VOTERS)
    respondent, options = asker("votes", teachers.Voter())
    everybody = np.arange(len(cells))
    answers = asked.answers_of(asked.VOTES_BY_RATE, cells, everybody, respondent, **options)
    surface = personas.surface_of(answers)
    kinds = {
        "own income, duels": tax_vote.scenario,
        "own income, first choices": tax_vote.by_plurality,
        "as personas say": tax_vote.answered_by(lambda _: surface),
    }
    told: dict[str, Any] = {"cells": len(cells), "questions": answers.values[..., 0].size}
    for name, model in kinds.items():
        seen = lpm.simulate(model, town, key=0, steps=20, devices=1).observed
        rates = np.asarray(seen["rates"], float)
        told[name] = {
            "rates after 20 years": rates[-1].tolist(),
            "mean rate": rates.mean(axis=1)[[0, 4, 9, 19]].tolist(),
            "support": float(np.mean(seen["support"])),
            "utility": float(np.asarray(seen["utility"])[-1]),
            "income": float(np.asarray(seen["income"])[-1]),
        }
    return told


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


PARTS: dict[str, Callable[[int, Asker], dict[str, Any]]] = {
    "planners": planners,
    "satisfaction": satisfaction,
    "votes": votes,
    "labour": labour,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=20_000)
    parser.add_argument("--model", help="as the server names it; rules answer if not given")
    parser.add_argument("--url", default="", help="of a server that speaks chat completions")
    parser.add_argument("--calls", type=int, default=5_000, help="most calls to a model, each part")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    def asker(part: str, rule: personas.Respondent) -> tuple[personas.Respondent, dict[str, Any]]:
        respondent = rule if given.model is None else personas.Http(given.model, url=given.url)
        path = given.out / f"{part}.jsonl"
        return respondent, {"transcript": path, "budget": personas.Budget(calls=given.calls)}

    for part in given.parts:
        found = PARTS[part](given.agents, asker)
        text = json.dumps(found, indent=1)
        (given.out / f"{part}.json").write_text(text + "\n")
        print(f"{part}: {text}", flush=True)


if __name__ == "__main__":
    main()
