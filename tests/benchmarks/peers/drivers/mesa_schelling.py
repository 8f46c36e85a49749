"""Mesa: its own segregation example, 8 of 24 neighbours wanted, four fifths of the board taken."""

import meter
from mesa.examples.basic.schelling.model import Schelling


def build(size, seed):
    side = round((size / 0.8) ** 0.5)
    return Schelling(height=side, width=side, density=0.8, homophily=8 / 24, radius=2, seed=seed)


def run(model, steps):
    for _ in range(steps):
        model.step()


def summarise(model):
    shares = []
    for agent in model.agents:
        around = list(agent.cell.get_neighborhood(radius=2).agents)
        if around:
            shares.append(sum(other.type == agent.type for other in around) / len(around))
    return {"similar": sum(shares) / len(shares), "content": model.happy / len(model.agents)}


meter.main(build, run, summarise)
