"""Mesa: gatherers on the board of our scenario, sugar growing back by one a step."""

import math
from itertools import permutations

import mesa
import meter
from mesa.discrete_space import CellAgent, OrthogonalVonNeumannGrid

FARTHEST, SUMMIT, HUNGRIEST = 6, 4, 4
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))
ORDERS = tuple(permutations(range(4)))


class Gatherer(CellAgent):
    def __init__(self, model, cell):
        super().__init__(model)
        draw = model.random.randint
        self.vision, self.metabolism = draw(1, FARTHEST), draw(1, HUNGRIEST)
        self.sugar = draw(5, 25)
        self.cell = cell

    def gather(self):
        best = self.cell
        order = self.random.choice(ORDERS)  # among equals at one distance
        for ring in self.cell.rings[: self.vision]:
            for i in order:
                site = ring[i]
                if site.level > best.level and site.is_empty:
                    best = site
        if best is not self.cell:
            self.move_to(best)
        self.sugar += best.level - self.metabolism
        best.level = 0

    def starve(self):
        if self.sugar <= 0:
            self.remove()


class Sugarscape(mesa.Model):
    def __init__(self, size, seed):
        super().__init__(seed=seed)
        self.size = size
        side = max(2 * FARTHEST + 1, round(math.sqrt(6.25 * size)))
        grid = OrthogonalVonNeumannGrid((side, side), torus=True, random=self.random)
        self.sites = list(grid.all_cells)
        for site in self.sites:
            away = min(
                math.dist(site.coordinate, (0.3 * side, 0.7 * side)),
                math.dist(site.coordinate, (0.7 * side, 0.3 * side)),
            )
            site.most = site.level = max(SUMMIT - math.floor(away / (side / 10)), 0)
            lines = [[site] for _ in DIRECTIONS]
            for line, direction in zip(lines, DIRECTIONS, strict=True):
                for _ in range(FARTHEST):
                    line.append(line[-1].connections[direction])
            site.rings = list(zip(*lines, strict=True))[1:]
        Gatherer.create_agents(self, size, self.random.sample(self.sites, size))

    def step(self):
        self.agents.shuffle_do("gather")
        self.agents.do("starve")
        for site in self.sites:
            if site.level < site.most:
                site.level += 1


def run(model, steps):
    for _ in range(steps):
        model.step()


def summarise(model):
    left = list(model.agents)
    many = max(len(left), 1)
    return {
        "survivors": len(left) / model.size,
        "wealth": sum(gatherer.sugar for gatherer in left) / many,
        "metabolism": sum(gatherer.metabolism for gatherer in left) / many,
        "standing": sum(s.level for s in model.sites) / sum(s.most for s in model.sites),
    }


meter.main(Sugarscape, run, summarise)
