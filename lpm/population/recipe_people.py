"""The people of a recipe: drawn by its weights, named as it says, and given places."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from lpm.errors import DataError

from .build import Built, read_table
from .controlled import round_to_controls
from .drawing import Part, draw_people, kinds, truncated
from .extend import with_columns
from .integers import Counts
from .placing import Zones, place_people, read_flows, read_zones, tie_friends
from .population import Population
from .recipe import Recipe
from .seeds import generator

_COORDINATES = ("x", "y", "longitude", "latitude")
_MARGIN = 1e-3  # By so much a size may be above the people there are: weights round.


def count_records(built: Built, seed: int, size: int | None = None) -> list[Counts]:
    """How often each record is drawn in each zone, block by block.

    Args:
        built: from `fit_recipe`.
        seed: same seed, same counts.
        size: about how many people, at constant density; all there are if not given.

    Raises:
        DataError: there are fewer people than `size`.
    """
    parts = built.parts if size is None else _smaller(built, size)
    rng = generator(seed)
    if built.recipe.draw.get("rounding") != "controlled":
        return [truncated(built.sample, part, rng) for part in parts]
    return [
        round_to_controls(f.weights, kinds(built.sample, rows), f.problem.levels[0].incidence, rng)
        for rows, f in parts
    ]


def draw_recipe(
    built: Built,
    *,
    seed: int = 0,
    size: int | None = None,
    counts: Sequence[Counts] | None = None,
) -> Population:
    """Whole people drawn by the weights of a recipe, with places where it says how.

    Args:
        built: from `fit_recipe`.
        seed: same seed, same people.
        size: about how many people, at constant density; all there are if not given.
        counts: from `count_records`, where they are wanted as well.

    Raises:
        DataError: there are fewer people than `size`, or they cannot be placed.
    """
    recipe = built.recipe
    if built.sample.persons.is_empty():
        raise DataError(f"{recipe.name}: the survey has no persons, so none can be drawn")
    people = draw_people(
        built.sample,
        built.parts,
        list(recipe.columns),
        seed,
        counts=count_records(built, seed, size) if counts is None else counts,
        age=recipe.draw.get("age", "age"),
        quarters_by=_quarters_by(built),
    )
    people = with_zone(people, recipe)
    return _placed(people, recipe, seed) if recipe.places else people


def zones_of(recipe: Recipe, names: Sequence[str]) -> Zones:
    """Where the zones of a recipe lie: centroids and parents as far as its table has them."""
    table = recipe.zones
    levels = {control.level for control in recipe.controls}
    columns = {"zone": table.columns[0]} | {c: c for c in _COORDINATES if c in table.columns}
    coarser = [name for name in table.columns[1:] if name in levels]
    if coarser:
        columns["parent"] = coarser[0]
    frame = table.select(**{name: pl.col(column) for name, column in columns.items()})
    return read_zones(frame.unique("zone", maintain_order=True), names)


def _smaller(built: Built, size: int) -> list[Part]:
    most = built.people
    if not 1 <= size <= most * (1 + _MARGIN):
        raise DataError(f"{built.recipe.name} has {most:,.0f} people, so {size:,} cannot be drawn")
    share = size / most
    return [(rows, replace(f, weights=f.weights * share)) for rows, f in built.parts]


def _quarters_by(built: Built) -> list[str]:
    """Columns that tell sorts of quarters apart; those of PUMS if there are and none are named."""
    if "quarters_by" in built.recipe.draw:
        return list(built.recipe.draw["quarters_by"])
    return [name for name in ("TYPEHUGQ",) if name in built.sample.quarters.columns]


def with_zone(people: Population, recipe: Recipe) -> Population:
    """The people with a column of the table of zones, or under a new name with the zone's own."""
    name, zones = recipe.draw.get("zone_as"), recipe.zones
    if name is None:
        return people
    known = [column for column in (name, "name", zones.columns[0]) if column in zones.columns]
    words = dict(zones.select(zone=pl.col(zones.columns[0]), word=pl.col(known[0])).iter_rows())
    told = [words[zone] for zone in people.labels["zone_id"]]
    labels = tuple(dict.fromkeys(told))
    number = {word: i for i, word in enumerate(labels)}
    narrow = np.int16 if len(labels) <= 2**15 else np.int32
    code = np.array([number[word] for word in told], narrow)
    return with_columns(people, {name: code[people.host("zone_id")]}, labels={name: labels})


def _placed(people: Population, recipe: Recipe, seed: int) -> Population:
    zones, places = zones_of(recipe, people.labels["zone_id"]), recipe.places
    flows = None
    if "flows" in places:
        flows = read_flows(read_table("long", places["flows"]), zones)
    age = recipe.draw.get("age", "age")
    people = place_people(
        people,
        zones,
        seed,
        age=age,
        employed=places["employed"],
        works_from_home=places.get("works_from_home"),
        enrolled=places.get("enrolled"),
        flows=flows,
    )
    if not places.get("friends"):
        return people
    ties = tie_friends(people, zones, seed, age=age, degree=float(places["friends"]))
    return people.connect("friends", ties)
