"""The tables of New York that come with the package."""

from functools import cache
from importlib.resources import files

import polars as pl

from .ages import Composition

BOROUGHS = ("Bronx", "Brooklyn", "Manhattan", "Queens", "Staten Island")
OPEN_SIZE = 7
_FOLDER = files("lpm.population") / "data" / "new_york"


@cache
def read_table(name: str) -> pl.DataFrame:
    """A shipped table; `data/new_york/README.md` says what is in it and where it is from."""
    return pl.read_csv((_FOLDER / f"{name}.csv").read_bytes())


def borough_shares(
    borough: int, compositions: pl.DataFrame, sizes: pl.DataFrame, large: pl.DataFrame
) -> list[tuple[float, list[tuple[Composition, float]]]]:
    """Share of each household size in a borough, with the shares of its compositions."""
    counts = dict(sizes.filter(pl.col("borough") == borough).select("size", "households").rows())
    open_ended = counts.pop(OPEN_SIZE)
    counts |= {size: open_ended * share for size, share in large.select("size", "share").rows()}
    total = sum(counts.values())
    here = compositions.filter(pl.col("borough") == borough)
    return [
        (
            count / total,
            [
                ((c, size - c - e, e), share)
                for c, e, share in here.filter(pl.col("size") == size)
                .select("children", "elderly", "share")
                .rows()
            ],
        )
        for size, count in counts.items()
    ]
