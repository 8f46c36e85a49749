"""Mesa: an object for each person, with references to its neighbours."""

import edges
import mesa
import meter


class Person(mesa.Agent):
    def __init__(self, model):
        super().__init__(model)
        self.left, self.hit, self.friends = 0, False, []

    def expose(self):
        if self.left > 0:
            chance = self.model.random.random
            for friend in self.friends:
                if friend.left == 0 and chance() < edges.CHANCE:
                    friend.hit = True

    def advance(self):
        if self.hit:
            self.left, self.hit = edges.DURATION, False
        elif self.left > 0:
            self.left = self.left - 1 or -1


class Town(mesa.Model):
    def __init__(self, size, seed):
        super().__init__(seed=seed)
        people = list(Person.create_agents(self, size))
        for one, other in zip(*(end.tolist() for end in edges.draw_edges(size, seed)), strict=True):
            people[one].friends.append(people[other])
            people[other].friends.append(people[one])
        for person in people[: int(size * edges.SEEDED)]:
            person.left = edges.DURATION

    def step(self):
        self.agents.do("expose")
        self.agents.do("advance")


def run(model, steps):
    for _ in range(steps):
        model.step()


def summarise(model):
    reached = sum(person.left != 0 for person in model.agents)
    return {"attack_rate": reached / len(model.agents)}


meter.main(Town, run, summarise)
