"""What is compared with whom: the work, the sizes, the summaries that must agree, the target."""

from dataclasses import dataclass

# Bytes that an agent-step must move: see README.md.
_LISTS, _SHARED, _POOL, _LAYERS = 46, 12, 2, 10


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: of the row.
        peer: package and environment of the other side.
        driver: its script in `drivers`, with arguments.
        work: ours, a key of `ours.WORK`.
        size: agents of one run.
        steps: of one run.
        target: least ratio of agent-steps per CPU second, ours to theirs.
        check: (size, steps) at which summaries are compared first.
        seeds: independent runs of either side in that comparison.
        agrees: summary and the difference allowed besides sampling error, with its reason in the
            README.
        theirs: (size, steps) of the peer where ours would take it too long; rates are compared.
        runs: runs in one call of ours, where it is an ensemble.
        bytes_moved: an agent-step at the least, or None where we know no such number.
    """

    name: str
    peer: str
    driver: tuple[str, ...]
    work: str
    size: int
    steps: int
    target: float
    check: tuple[int, int]
    seeds: int
    agrees: tuple[tuple[str, float], ...]
    theirs: tuple[int, int] | None = None
    runs: int = 1
    bytes_moved: float | None = None


_ATTACK = (("attack_rate", 0.01),)
_BY_LAYER = (*_ATTACK, ("attack_school", 0.01), ("attack_work", 0.01))
ROWS = (
    Row(
        "fixed network",
        "starsim",
        ("starsim_sir",),
        "fixed",
        1_000_000,
        100,
        7,
        (20_000, 100),
        5,
        (("attack_rate", 0.02),),
        bytes_moved=_LISTS,
    ),
    Row(
        "fixed network, 1e5",
        "mesa",
        ("mesa_network",),
        "fixed",
        100_000,
        100,
        40,
        (4000, 100),
        5,
        _ATTACK,
        bytes_moved=_LISTS,
    ),
    Row(
        "fresh contacts",
        "starsim",
        ("starsim_sir", "--fresh"),
        "fresh",
        1_000_000,
        100,
        150,
        (20_000, 100),
        5,
        (("attack_rate", 0.02),),
        bytes_moved=_POOL,
    ),
    Row(
        "mass action in patches",
        "laser",
        ("laser_sir",),
        "patches",
        1_000_000,
        100,
        3,
        (100_000, 100),
        5,
        _ATTACK,
        bytes_moved=_POOL,
    ),
    Row(
        "four layers",
        "starsim",
        ("starsim_layers",),
        "layers",
        1_000_000,
        100,
        20,
        (100_000, 100),
        5,
        _BY_LAYER,
        bytes_moved=_LAYERS,
    ),
    Row(
        "four layers, Covasim",
        "covasim",
        ("covasim_layers",),
        "layers",
        1_000_000,
        100,
        20,
        (100_000, 100),
        5,
        _BY_LAYER,
        bytes_moved=_LAYERS,
    ),
    Row(
        "1,000 runs of 1,000",
        "starsim",
        ("starsim_sir",),
        "ensemble",
        1000,
        100,
        200,
        (1000, 100),
        20,
        (("attack_rate", 0.02),),
        theirs=(1000, 100),
        runs=1000,
        bytes_moved=_SHARED,
    ),
    Row(
        "value and gradient",
        "birds",
        ("blackbirds_gradient",),
        "gradient",
        100_000,
        100,
        6,
        (10_000, 100),
        5,
        _ATTACK,
    ),
    Row(
        "segregation",
        "mesa",
        ("mesa_schelling",),
        "schelling",
        8000,
        20,
        100,
        (8000, 20),
        5,
        (("similar", 0.01), ("content", 0.005)),
    ),
    Row(
        "flock",
        "mesa",
        ("mesa_boids",),
        "boids",
        10_000,
        20,
        30,
        (200, 20),
        8,
        (("seen", 0.1), ("order", 0.02)),
        theirs=(2000, 5),
    ),
    Row(
        "flock, compiled",
        "esquilax",
        ("esquilax_boids",),
        "boids",
        10_000,
        100,
        2.5,
        (2000, 100),
        20,
        (("seen", 0.0), ("order", 0.0)),
    ),
    Row(
        "sugarscape",
        "mesa",
        ("mesa_sugarscape",),
        "sugarscape",
        50_000,
        100,
        25,
        (2000, 100),
        8,
        (("survivors", 0.005), ("wealth", 2.0), ("metabolism", 0.01), ("standing", 0.002)),
    ),
    Row(
        "births and deaths",
        "abmax",
        ("abmax_turnover",),
        "turnover",
        100_000,
        100,
        40,
        (1000, 100),
        8,
        (("population", 0.0), ("age", 0.0)),
        theirs=(1000, 100),
    ),
)
