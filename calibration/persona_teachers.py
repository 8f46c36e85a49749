"""Respondents with a documented rule and a known truth. They are no language models.

They read what a model would read (the persona's words, the numbers of the question, the history in
a prompt) and answer through the same stack. Every coefficient is made up: they are there so that
what comes out of questions can be held against what went in.
"""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from lpm.personas import About, Question, Reply
from lpm.population.seeds import Generator, generator

NOW = 70.0  # cents kept of a further dollar, in the question about hours
STEEPNESS = 12.0  # of satisfaction, for each unit of the average rate
ELASTICITY = 0.2
# What a phrase in a persona's description adds to the elasticity, and to the bearable rate.
MORE_ELASTIC = {
    "You are a woman": 0.15,
    "under 30": 0.05,
    "over 55": 0.15,
    "bachelor's degree or more": -0.05,
    "less than 25,000": 0.15,
    "25,000 to 50,000": 0.05,
    "more than 100,000": 0.10,
}
BEARABLE = 0.28
MORE_BEARABLE = {
    "less than 25,000": -0.08,
    "25,000 to 50,000": -0.03,
    "more than 100,000": 0.05,
    "over 55": -0.03,
    "bachelor's degree or more": 0.03,
}


def elasticity_of(text: str) -> float:
    """The true elasticity of people described so."""
    return ELASTICITY + sum(more for words, more in MORE_ELASTIC.items() if words in text)


def bearable_of(text: str) -> float:
    """The average rate at which half of the people described so are satisfied."""
    return BEARABLE + sum(more for words, more in MORE_BEARABLE.items() if words in text)


class Teacher(ABC):
    """Answers each question by a rule; its luck is a hash of the question."""

    def __init__(self, model: str) -> None:
        self.about = About("a documented rule, no language model", model, "rules", False, 4)

    def reply(self, questions: Sequence[Question]) -> Sequence[Reply]:
        """Each question by itself."""
        return [Reply(json.dumps(self.say(question)), "stop") for question in questions]

    @abstractmethod
    def say(self, question: Question) -> dict[str, int]:
        """The numbers of an answer."""

    def luck(self, question: Question) -> Generator:
        """Luck that is the same whenever the question is."""
        asked = question.persona.text + question.prompt
        return generator(int(hashlib.sha256(asked.encode()).hexdigest()[:12], 16))


class Worker(Teacher):
    """Hours of a hundred at another share kept: (kept / now)**e, give or take 2 %."""

    def __init__(self) -> None:
        super().__init__("worker-rule-1")

    def say(self, question: Question) -> dict[str, int]:
        """As the class says."""
        kept = float(question.values["kept"])
        hours = 100 * (kept / NOW) ** elasticity_of(question.persona.text)
        noise = np.exp(0.02 * self.luck(question).standard_normal())
        return {"hours": int(np.clip(round(hours * noise), 1, 200))}


class Payer(Teacher):
    """Who is satisfied at an average rate: ten people, each with the chance of the rule."""

    def __init__(self) -> None:
        super().__init__("payer-rule-1")

    def say(self, question: Question) -> dict[str, int]:
        """As the class says."""
        rate = float(question.values["rate"])
        chance = 1 / (1 + np.exp(-STEEPNESS * (bearable_of(question.persona.text) - rate)))
        yes = 10 * int(self.luck(question).binomial(10, chance))
        return {n: 100 - yes if n.startswith("not") else yes for n in question.codebook.names}


class Voter(Teacher):
    """Votes of a hundred: below 35,000 a year for higher rates up to 45 % in the mean, else lower.

    Scores rise by 6 for each unit of the distance from the rate that is liked, and by a half for
    raising a rate above the own income or lowering one at or below it.
    """

    BRACKET = (("lowest", 0.0), ("middle", 20_000.0), ("top", 50_000.0))

    def __init__(self) -> None:
        super().__init__("voter-rule-1")

    def say(self, question: Question) -> dict[str, int]:
        """As the class says."""
        text, rate = question.persona.text, float(question.values["rate"])
        own = 1_000.0 * int(re.findall(r"(\d+),000", text)[-1])
        low = own <= 35_000 and "more than" not in text
        lacking = (0.45 if low else 0.15) - rate
        scores = []
        for number in question.codebook.numbers:
            action = number.meaning.split(", ")[1]
            up = action.startswith("raise") - action.startswith("lower")
            above = sum(
                up * (0.5 if edge >= own else -0.5) for name, edge in self.BRACKET if name in action
            )
            scores.append(6 * up * lacking * (1.5 if "all" in action else 1.0) + above)
        share = np.exp(scores) / np.exp(scores).sum()
        votes = np.floor(100 * share).astype(int)
        return dict(zip(question.codebook.names, votes.tolist(), strict=True))


class Climber(Teacher):
    """A planner who climbs by what the prompt tells: one rate at a time, and on while it helps.

    If the last year was better than every other on the page it makes the same move again. Else it
    goes back to the best year and tries the next of all moves of one step, up and down for one
    bracket after the other.
    """

    ROW = re.compile(r"Year (\d+): rates ([\d ]+); welfare ([\d.e+-]+)")

    def __init__(self) -> None:
        super().__init__("climber-rule-1")

    def say(self, question: Question) -> dict[str, int]:
        """As the class says."""
        rows = {
            int(year): (np.array(rates.split(), float), float(welfare))
            for year, rates, welfare in self.ROW.findall(question.prompt)
        }
        last = max(rows)
        now, worth = rows[last]
        others = [welfare for year, (_, welfare) in rows.items() if year != last]
        if last - 1 in rows and worth > max(others):
            moves = now - rows[last - 1][0]
            moves = moves if np.count_nonzero(moves) == 1 else 0 * moves
        else:
            moves = max(rows.values(), key=lambda row: row[1])[0] - now
        if not moves.any() or worth <= max(others, default=-np.inf):
            turn = (last - 1) % (2 * len(now))
            moves = moves.copy()
            moves[turn // 2] += 10 if turn % 2 == 0 else -10
        steps = np.clip(np.round(moves / 10), -2, 2).astype(int)
        return dict(zip(question.codebook.names, steps.tolist(), strict=True))
