"""A falsehood spreads by texts: believed, dropped, refuted, and found again in what was stored.

A day, everybody reads READ texts by people they follow, each by one of them at random. Believers
of a falsehood pass it on; a share `outspoken` of the others deny it. How many change their mind
after k texts against what they hold is a table: cell of people, side, style of the texts, k. A
panel of personas fills it (`answered_by`). All read at once, off the start of the day; then, every
`spacing` days, a correction reaches some of the believers. Texts of a day are in one style for each
reader. Summed over how many of the READ texts speak against a reader, which is binomial, the table
is a polynomial in what those followed say, so that one coin a person is enough. Four uses, after:
fake news (FPS, Liu et al. 2024, arXiv:2403.09498), manipulated knowledge that retrieval keeps alive
(Ju et al. 2024, arXiv:2407.07791), styles (Breum et al. 2023, arXiv:2312.15523), and debates in
pairs with readers who take up right and wrong unequally often (`balanced`; Stengel-Eskin et al.
2024, arXiv:2410.14596).

The shipped table, `by_counts`, is the answers of one language model to one question on climate
change, for all people alike; k texts act independently, and a falsehood convinces as a correction
does: assumptions. `by_people` puts human strengths of the styles in its place. All other numbers
are illustrative. With a_k and b_k the table of the two sides and r0 = 1 - exp(-forgetting) if
nobody is outspoken, the falsehood spreads from few if g = 1 + READ a_1 - r0 > 1; corrections that
turn a share e end it if spacing < -ln(1 - e) / ln g; with storing it spreads if
(READ a_1 + retrieval storing / curation) / r0 > 1.
"""

import math
import tomllib
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import lpm
from lpm import Array, Draw, Float, Int, Population, Scalar, personas

READ = 3
STYLES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["styles"]
NAMES = tuple(STYLES)
CHANGE = "change their mind"
ACTIONS = ("keep their mind", CHANGE)
NEVER = -30.0  # log-odds, 1e-13: of a table that says 0
DOUBTING, BELIEVING = 0, 1
UNITS = {"believers": "share of the living", "memory": "falsehoods stored, of a text a day"}
ARCHETYPES = (
    personas.Band(
        "age",
        "age",
        (30.0, 60.0),
        ("You are under 30.", "You are between 30 and 60 years old.", "You are over 60."),
    ),
)

# From the cells of a population to their answers, over `knots`.
Panel = Callable[[personas.Cells], personas.Surface]
# Whom people read.
Feed = Callable[[Population, Draw], lpm.Graph | lpm.Mixing]


def only(style: str) -> np.ndarray:
    """Weights of texts that are all in one style."""
    return np.array([float(name == style) for name in NAMES], np.float32)


class Params(lpm.Params):
    falsehoods: Float[Array, " style"] = lpm.parameter(
        only("baseline"), within=(0, 1), unit="weight"
    )
    corrections: Float[Array, " style"] = lpm.policy(
        only("knowledge"), within=(0, 1), unit="weight"
    )
    outspoken: Scalar = lpm.parameter(0.0, within=(0, 1), unit="share of those who do not believe")
    forgetting: Scalar = lpm.parameter(0.1, within=(0, 10), unit="1/day")
    spacing: Scalar = lpm.policy(3.0, within=(1, None), unit="days between corrections")
    reach: Float[Array, " correction"] = lpm.policy([0.3], within=(0, 1), unit="share, the last on")
    retrieval: Scalar = lpm.parameter(0.0, within=(0, 100), unit="1/stored/day")
    storing: Scalar = lpm.parameter(0.1, within=(0, 100), unit="stored/text")
    curation: Scalar = lpm.policy(0.1, within=(0, 1), unit="share of what is stored, a day")
    guardians: Scalar = lpm.policy(0.0, within=(0, 1), unit="share who never believe it")
    seeded: Scalar = lpm.constant(0.01, unit="share who believe it first")


class State(lpm.State):
    feed: lpm.Graph | lpm.Mixing
    panel: personas.Surface
    cell: Int[Array, " agent"]
    open: Float[Array, " agent"] = lpm.variable(within=(0, 1), unit="no guardian")
    believes: Float[Array, " agent"] = lpm.variable(within=(0, 1))
    memory: Float[Array, " agent"] = lpm.variable(within=(0, None), unit="falsehoods stored")


def knots(read: int = READ) -> dict[str, tuple[float, ...]]:
    """What a panel is asked about: the side, the style, and texts against it of those read."""
    spans = {"believing": 2, "style": len(NAMES), "against": read + 1}
    return {name: tuple(map(float, range(count))) for name, count in spans.items()}


def table(chance: np.ndarray, spread: float | np.ndarray = 0.1) -> personas.Surface:
    """A surface that says these shares, by cell, side, style and number of texts against it."""
    with np.errstate(divide="ignore"):
        odds = np.log(chance) - np.log1p(-chance)
    odds = np.clip(odds, NEVER, -NEVER)[..., None]
    return personas.make_surface(odds, spread, knots(chance.shape[-1] - 1), ACTIONS)


def alone(cells: personas.Cells, once: np.ndarray) -> personas.Surface:
    """Texts act independently: who reads k escapes all of them. `once`: by style."""
    chance = 1 - (1 - once[:, None]) ** np.arange(READ + 1)
    return table(np.broadcast_to(chance, (len(cells), 2, *chance.shape)))


def by_counts(cells: personas.Cells) -> personas.Surface:
    """The shipped counts of sceptics whom one text convinced."""
    return alone(cells, np.array([style["yes"] / style["asked"] for style in STYLES.values()]))


def by_people(cells: personas.Cells) -> personas.Surface:
    """Odds of the plain text as counted, times how much stronger than it people found a style.

    An assumption: that odds of being the more convincing of two carry over to odds of convincing.
    Styles that people were not asked about stay as they were counted.
    """
    plain = STYLES["baseline"]
    odds = [
        plain["yes"] / (plain["asked"] - plain["yes"]) * style["people"] / plain["people"]
        if "people" in style
        else style["yes"] / (style["asked"] - style["yes"])
        for style in STYLES.values()
    ]
    return alone(cells, np.array(odds) / (1 + np.array(odds)))


def balanced(accept: float, resist: float) -> Panel:
    """One text a day: a right one is taken up with `accept`, a wrong one resisted with `resist`."""

    def panel(cells: personas.Cells) -> personas.Surface:
        chance = np.zeros((len(cells), 2, len(NAMES), 2))
        chance[:, DOUBTING, :, 1], chance[:, BELIEVING, :, 1] = 1 - resist, accept
        return table(chance)

    return panel


# What a panel is asked: of a hundred people of each cell, by side and style of the texts.
ASKED = personas.Inquiry(
    {**knots(), "against": tuple(map(float, range(1, READ + 1)))},
    (
        f"{{believing}} Today you read {READ} texts on it. Each that is against what you hold "
        "{style}; the others agree with you. Of 100 such people, how many keep their mind, and "
        "how many change it?",
    ),
    ("keep", "change"),
    along="against",
    level=f"{{against:.0f}} of the {READ} are against it",
    words={
        "believing": (
            "You have heard a claim and do not believe it.",
            "You have heard a claim and believe it.",
        ),
        "style": tuple(style["words"] for style in STYLES.values()),
    },
)


def questions(cells: personas.Cells) -> tuple[personas.Question, ...]:
    return ASKED.questions(personas.personas_of(cells, np.arange(len(cells))))


def by_answers(interview: personas.Interview) -> Panel:
    """The panel of an interview about `questions`; who reads nothing against him stays as he is."""
    answered = personas.surface_of(ASKED.answers(interview))
    first = [(0, 0)] * 3 + [(1, 0), (0, 0)]  # Nothing against, which nobody was asked about.
    mean = np.pad(answered.mean, first, constant_values=NEVER)
    spread = np.pad(answered.spread, first, mode="edge")
    surface = personas.make_surface(mean, spread, knots(), ACTIONS)

    def panel(cells: personas.Cells) -> personas.Surface:
        return surface

    return panel


def everybody(population: Population, draw: Draw) -> lpm.Mixing:
    return lpm.Mixing(jnp.where(population.alive, 0, -1), jnp.ones((1, 1)))


def friends(population: Population, draw: Draw) -> lpm.Graph:
    return lpm.random_graph(population, degree=8, draw=draw)


def start(panel: Panel, feed: Feed, bands: tuple[personas.Band, ...]) -> Callable[..., State]:
    def init(population: Population, params: Params, draw: Draw) -> State:
        cells = personas.cells_of(population, bands)
        with jax.ensure_compile_time_eval():  # The panel answers once, in numbers.
            answered = panel(cells)
        check(answered, len(cells))
        guardian = draw.bernoulli(params.guardians, "agent")
        return State.of(
            population,
            feed=feed(population, draw),
            panel=answered,
            cell=cells.cell_of,
            open=1 - guardian,
            believes=draw.bernoulli(params.seeded * (1 - guardian)),
            memory=0,
        )

    return init


def check(panel: personas.Surface, cells: int) -> None:
    found = dict(zip(panel.variables, (np.asarray(x).tolist() for x in panel.levels), strict=True))
    wanted = {name: list(x) for name, x in knots(len(found.get("against", (0, 1))) - 1).items()}
    if found != wanted or panel.actions != ACTIONS or panel.personas != cells:
        raise lpm.PersonaError(
            f"the panel answers for {panel.personas} cells about {panel.actions} over {found}; "
            f"wanted {cells} cells, {ACTIONS} over {wanted}"
        )


def changing(state: State, side: int, styles: Array, against: Array) -> Array:
    """Chance that each agent changes its mind, each text it reads being `against` it with that.

    The mean of the table over a binomial number of such texts.
    """
    share = personas.shares_of(state.panel.mean[:, side])[..., 1]  # [cell, style, against]
    by_count = jnp.einsum("csk,s->ck", share, styles / jnp.sum(styles), precision="highest")
    read = by_count.shape[1] - 1
    total = jnp.zeros_like(against)
    for k in range(read + 1):
        ways = math.comb(read, k) * against**k * (1 - against) ** (read - k)
        total = total + ways * by_count[:, k][state.cell]
    return jnp.clip(total, 0, 1)


def read(state: State, params: Params, draw: Draw) -> State:
    seen = state.feed.mean(state.believes)
    if isinstance(state.feed, lpm.Mixing):
        seen = draw.shared(seen)
    misled = changing(state, DOUBTING, params.falsehoods, seen)
    misled = 1 - (1 - misled) * jnp.exp(-params.retrieval * state.memory)
    denied = (state.feed.mean(state.alive) - seen) * params.outspoken
    dropped = changing(state, BELIEVING, params.corrections, denied)
    dropped = 1 - (1 - dropped) * jnp.exp(-params.forgetting)
    adopting = draw.bernoulli(misled, among=(state.alive - state.believes) * state.open)
    dropping = draw.bernoulli(dropped, among=state.believes)
    return state.replace(
        believes=state.believes + adopting - dropping,
        memory=state.memory * (1 - params.curation) + params.storing * seen,
    )


def refute(state: State, params: Params, draw: Draw) -> State:
    """On the days on which a multiple of `spacing`, which need not be whole, is passed."""
    before, now = (jnp.floor((state.t + i) / params.spacing) for i in (0, 1))
    number = jnp.clip(now.astype(jnp.int32) - 1, 0, params.reach.shape[0] - 1)
    reached = jnp.where(now > before, params.reach[number], 0.0)
    share = personas.shares_of(state.panel.mean[:, BELIEVING])[..., 1, 1]  # One text.
    turned = share @ (params.corrections / jnp.sum(params.corrections))
    turning = draw.bernoulli(reached * turned[state.cell], among=state.believes)
    return state.replace(believes=state.believes - turning)


def observe(state: State, params: Params) -> dict[str, Scalar]:
    return {
        "believers": lpm.share(state.believes, state.alive),
        "memory": jnp.mean(state.memory, where=state.alive),
    }


def answered_by(
    panel: Panel, *, feed: Feed = everybody, bands: tuple[personas.Band, ...] = ARCHETYPES
) -> lpm.Scenario:
    """The same contagion with other answers, readers or archetypes."""
    return lpm.Scenario(
        start(panel, feed, bands),
        (read, refute),
        observe,
        Params(),
        steps=120,
        unit="day",
        baseline={"reach": [0.0]},
    )


scenario = answered_by(by_counts)
connected = answered_by(by_counts, feed=friends)
stored = scenario.replace(params=scenario.params.replace(retrieval=0.2, reach=[0.0]))
debate = answered_by(balanced(0.3, 0.8)).replace(
    params=Params().replace(outspoken=1.0, forgetting=0.0, reach=[0.0], seeded=0.5)
)
