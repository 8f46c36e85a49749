"""Contact diaries as matrices by age."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from lpm.errors import DataError, unknown

from .setting_matrices import check_bands
from .tables import as_table, require

PLACES = ("home", "work", "school", "transport", "leisure", "otherplace")
_EXACT, _LEAST, _MOST = "cnt_age_exact", "cnt_age_est_min", "cnt_age_est_max"


def diary_matrix(
    participants: Any, contacts: Any, bands: Sequence[int], places: Sequence[str] = ()
) -> tuple[Float[np.ndarray, "mine theirs"], Int[np.ndarray, " mine"]]:
    """Daily contacts of participants of each age with people of each age, and how many took part.

    Ages that were estimated count in the middle of their range. Contacts of unknown age are shared
    out like the others of participants of that age.

    Args:
        participants: `part_id` and `part_age_exact`; those without an age are left out.
        contacts: `part_id`, `cnt_age_exact`, `cnt_age_est_min`, `cnt_age_est_max`, and `cnt_home`,
            `cnt_work` and so on (0 or 1).
        bands: lower ends of age bands, the last one open.
        places: contacts at any of `home`, `work`, `school`, `transport`, `leisure`, `otherplace`;
            all contacts if none is named.

    Raises:
        DataError: a column is missing, there is no such place, a participant is there twice, or
            bands do not start at 0 and rise.

    Source: the files of Mossong et al. (2008), PLOS Medicine 5:e74.
    """
    lost = [place for place in places if place not in PLACES]
    if lost:
        raise DataError(unknown("diaries", "place", lost, PLACES))
    check_bands(bands)
    people, met = _tables(participants, contacts, [f"cnt_{place}" for place in places])
    count = len(bands)
    taking_part = np.bincount(np.digitize(people["mine"], bands) - 1, minlength=count)
    mine = np.digitize(met["mine"], bands) - 1
    known = met["theirs"].is_not_null().to_numpy()
    theirs = np.digitize(met["theirs"].drop_nulls(), bands) - 1
    pairs = np.bincount(mine[known] * count + theirs, minlength=count**2).reshape(count, count)
    every = np.bincount(mine, minlength=count)
    scale = every / np.maximum(pairs.sum(axis=1) * np.maximum(taking_part, 1), 1)
    return pairs * scale[:, None], taking_part


def _tables(
    participants: Any, contacts: Any, marks: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Participants with their age, and their contacts with both ages."""
    people, met = as_table(participants, "participants"), as_table(contacts, "contacts")
    require(people, "participants", ["part_id", "part_age_exact"])
    require(met, "contacts", ["part_id", _EXACT, _LEAST, _MOST, *marks])
    double = people["part_id"].is_duplicated()
    if double.any():
        raise DataError(
            f"participants: part_id {people['part_id'].filter(double)[0]!r} stands in several of "
            f"{people.height:,} rows; each takes part once"
        )
    people = people.drop_nulls("part_age_exact").select("part_id", mine="part_age_exact")
    if marks:
        met = met.filter(pl.any_horizontal(pl.col(mark) == 1 for mark in marks))
    middle = (pl.col(_LEAST) + pl.col(_MOST)) // 2
    met = met.join(people, on="part_id")
    return people, met.select("mine", theirs=pl.coalesce(_EXACT, middle))
