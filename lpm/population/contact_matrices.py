"""Who meets whom by age and setting: the shipped contact matrices of New York."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import polars as pl
from jaxtyping import Float

from lpm.errors import DataError, unknown

from .shipped import read_table

EDGES = tuple(range(0, 80, 5))
SETTINGS = ("household", "school", "work", "community")


def contact_matrix(
    setting: str = "overall", bands: Sequence[int] = EDGES
) -> Float[np.ndarray, "mine theirs"]:
    """Mean daily contacts of a person in one age band with people of each band.

    Entry [a, b]: contacts per day of one person in band a with persons in band b, in the state of
    New York. `overall` is the sum of the four settings.

    Args:
        setting: `household`, `school`, `work`, `community` or `overall`.
        bands: lower ends of the age bands in years, the last one open: multiples of 5 from 0 to
            75, starting at 0.

    Units: contacts/day.

    Raises:
        DataError: no such setting, or bands that five-year bands do not add up to.

    Source: Mistry et al. (2021), Nature Communications 12:323; weights of the settings 4.11,
    11.41, 8.07 and 2.79 contacts a day.
    """
    known = (*SETTINGS, "overall")
    if setting not in known:
        raise DataError(unknown("New York", "setting", [setting], known))
    people = contact_ages(bands)
    fine = contact_ages(EDGES)
    table = read_table("contacts")
    if setting != "overall":
        table = table.filter(pl.col("setting") == setting)
    per_setting = table["contacts"].to_numpy().reshape(-1, len(EDGES), len(EDGES))
    member = np.eye(len(bands))[np.digitize(EDGES, bands) - 1]
    total = member.T @ (fine[:, None] * per_setting.sum(0)) @ member
    return total / people[:, None]


def contact_ages(bands: Sequence[int] = EDGES) -> Float[np.ndarray, " band"]:
    """People of each age band in the population the contact matrices belong to.

    Raises:
        DataError: bands that five-year bands do not add up to.
    """
    rising = all(a < b for a, b in pairwise(bands))
    if not bands or bands[0] != 0 or not rising or any(edge not in EDGES for edge in bands):
        raise DataError(
            f"bands {list(bands)} cannot be had from five-year bands; give lower ends that start "
            f"at 0, rise, and are multiples of 5 up to {EDGES[-1]}"
        )
    return np.bincount(np.digitize(EDGES, bands) - 1, _people()).astype(float)


@cache
def _people() -> Float[np.ndarray, " band"]:
    return read_table("contact_ages")["people"].to_numpy().astype(float)
