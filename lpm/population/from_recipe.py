"""Whom a scenario happens to where a recipe says: people drawn by a fit that is made once."""

from functools import cache
from pathlib import Path
from typing import final

from .build import Built, fit_recipe
from .population import Population
from .recipe import find_recipe, read_recipe
from .recipe_people import draw_recipe


@final
class RecipePeople:
    """Draws so many people of a recipe, as a scenario asks for them; see `people_of`."""

    def __init__(self, name: str | Path, data: str | Path | None = None) -> None:
        self.name, self.data = name, data

    def __call__(self, size: int, *, seed: int = 0, capacity: int | None = None) -> Population:
        """About `size` people at constant density.

        Raises:
            DataError: there are fewer, or the recipe cannot be carried out.
        """
        built = self.built
        people = draw_recipe(built, seed=seed, size=None if size == self.size else size)
        return people if capacity is None else people.with_capacity(capacity)

    @property
    def built(self) -> Built:
        """The fitted recipe, made at the first call and kept."""
        return _built(find_recipe(self.name), self.data)

    @property
    def size(self) -> int:
        """People there are."""
        return round(self.built.people)


def people_of(name: str | Path, data: str | Path | None = None) -> RecipePeople:
    """The people of a recipe as a scenario asks for them: `(size, *, seed, capacity)`.

    Files are read and weights fitted when people are first asked for. Fewer people than there are
    live at the same density: whole households, classes and teams of the same sizes.

    Args:
        name: a recipe that comes with lpm, or the path of one.
        data: where its files are; see `read_recipe`.

    Example:
        >>> town = people_of("example")(500, seed=1)
        >>> town.networks
        ('friends',)
    """
    return RecipePeople(name, data)


@cache
def _built(path: Path, data: str | Path | None) -> Built:
    return fit_recipe(read_recipe(path, data))
