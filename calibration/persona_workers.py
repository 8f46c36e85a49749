"""What workers are asked: bands of their census cells, and about hours, taxes and votes."""

from typing import Any

import numpy as np

from lpm import personas
from lpm.population import Population
from scenarios import tax_vote

WORKERS = (
    personas.Band(
        "age",
        "age",
        (30.0, 55.0),
        ("You are under 30 years old.", "You are 30 to 54 years old.", "You are over 55."),
    ),
    personas.Band("sex", "sex", (1.0,), ("You are a man.", "You are a woman.")),
    personas.Band(
        "education",
        "education",
        (2.0,),
        ("You have no bachelor's degree.", "You have a bachelor's degree or more."),
    ),
    personas.Band(
        "earnings",
        "could_earn",
        (25_000.0, 50_000.0, 100_000.0),
        (
            "Your work pays less than 25,000 dollars a year.",
            "Your work pays 25,000 to 50,000 dollars a year.",
            "Your work pays 50,000 to 100,000 dollars a year.",
            "Your work pays more than 100,000 dollars a year.",
        ),
    ),
)
KEPT = {"kept": (20.0, 40.0, 55.0, 85.0, 100.0)}  # cents of a further dollar; 70 now
RATES = {"rate": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
SATISFIED = ("not satisfied with the tax policy", "satisfied with the tax policy")
HOURS = personas.Number(
    "hours", (1, 200), "hours that they would work for every 100 hours at present", whole=True
)
ABOUT_HOURS = (
    "At present these people keep 70 cents of each further dollar that they earn. Suppose they "
    "kept {kept:.0f} cents instead. Wages per hour and all else stay as they are. How many hours "
    "would they work for every 100 hours that they work now?",
    "A change of the tax law leaves these people {kept:.0f} cents of each further dollar, and not "
    "70 cents as now; what an hour pays before tax stays. For each 100 hours of work today, say "
    "how many there would be after they got used to it.",
)
ABOUT_TAX = (
    "Suppose all taxes together take the share {rate:.2f} of the yearly income of these people. "
    "How many of 100 are satisfied with the tax policy?",
    "Of their income in a year, the share {rate:.2f} goes to taxes. Are these people satisfied "
    "with the tax policy?",
    "These people pay {rate:.2f} of each dollar of income in taxes, on average. How many of them "
    "would call themselves satisfied with the tax policy?",
)
ABOUT_VOTE = (
    "The mean of the three income tax rates is {rate:.2f} today, and what comes in is handed "
    "back to all in equal parts. At the coming election, how many of 100 vote for each option?",
)


HOURS_BY_SHARE = personas.Inquiry(KEPT, ABOUT_HOURS, number=HOURS)
SATISFIED_BY_RATE = personas.Inquiry(RATES, ABOUT_TAX, SATISFIED, orders=2)
VOTES_BY_RATE = personas.Inquiry(tax_vote.KNOTS, ABOUT_VOTE, tax_vote.BALLOT)


def answers_of(
    inquiry: personas.Inquiry,
    cells: personas.Cells,
    which: np.ndarray,
    respondent: personas.Respondent,
    **asking: Any,
) -> personas.Answers:
    """What is answered for some of the cells; options as for `lpm.personas.ask`."""
    people = personas.personas_of(cells, which)
    return inquiry.answers(personas.ask(inquiry.questions(people), respondent, **asking))


def with_answers(
    people: Population, cells: personas.Cells, elasticity: np.ndarray, least: float = 0.02
) -> tuple[Population, float]:
    """The people with `own_response` by their cell, and the mean elasticity that it is over.

    An elasticity is joint with age, sex, education and earnings, since it is that of the cell. It
    has to be above 0: lower ones are raised to `least`.
    """
    own = np.maximum(elasticity, least)
    mean = float(np.average(own, weights=cells.weight))
    columns = {name: people.host(name) for name in people.columns}
    columns["own_response"] = np.log(own / mean)[cells.cell_of].astype(np.float32)
    return Population(columns, labels=people.labels, provenance=people.provenance), mean
