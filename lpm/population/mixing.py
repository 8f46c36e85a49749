"""Who shares groups with whom, counted on the host."""

import numpy as np
from jaxtyping import Float, Int

from lpm.errors import DataError

_CELLS_AT_ONCE = 4_000_000


def contact_counts(
    member_of: Int[np.ndarray, " person"],
    num_groups: int,
    class_of: Int[np.ndarray, " given"],
    num_classes: int,
) -> Float[np.ndarray, "mine theirs"]:
    """Mean number of others of each class in the group of a person of each class.

    Raises:
        DataError: a class outside 0 .. num_classes - 1, or another number of people.
    """
    if class_of.shape != member_of.shape:
        raise DataError(f"{len(class_of)} classes were given for {len(member_of)} people")
    class_of = class_of.astype(np.int64)
    wrong = (class_of < 0) | (class_of >= num_classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"class {class_of[row]} in row {row} is outside 0 .. {num_classes - 1}")
    people = np.bincount(class_of, minlength=num_classes).astype(float)
    pairs = _pairs(member_of, num_groups, class_of, num_classes)
    return np.divide(pairs, people[:, None], out=np.zeros_like(pairs), where=people[:, None] > 0)


def _pairs(
    member_of: np.ndarray, num_groups: int, class_of: np.ndarray, num_classes: int
) -> np.ndarray:
    """Ordered pairs of different people in one group, by class; blocks of groups bound memory."""
    inside = member_of >= 0
    groups, classes = member_of[inside].astype(np.int64), class_of[inside]
    if np.any(groups[1:] < groups[:-1]):
        order = np.argsort(groups, kind="stable")
        groups, classes = groups[order], classes[order]
    pairs = np.zeros((num_classes, num_classes))
    block = max(1, _CELLS_AT_ONCE // num_classes)
    for first in range(0, num_groups, block):
        start, stop = np.searchsorted(groups, [first, first + block])
        cells = (groups[start:stop] - first) * num_classes + classes[start:stop]
        length = min(block, num_groups - first) * num_classes
        counts = np.bincount(cells, minlength=length).reshape(-1, num_classes).astype(float)
        pairs += counts.T @ counts
    return pairs - np.diag(np.bincount(classes, minlength=num_classes))
