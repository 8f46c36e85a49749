"""Who shares groups with whom, counted on the host."""

from collections.abc import Iterator

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
    class_of = _checked(member_of, class_of, num_classes)
    pairs = np.zeros((num_classes, num_classes))
    for counts in _counts_by_group(member_of, num_groups, class_of, num_classes):
        pairs += counts.T @ counts
    pairs -= np.diag(np.bincount(class_of[member_of >= 0], minlength=num_classes))
    return _a_person(pairs, class_of, num_classes)


def contact_shares(
    member_of: Int[np.ndarray, " person"],
    num_groups: int,
    class_of: Int[np.ndarray, " given"],
    num_classes: int,
) -> Float[np.ndarray, "mine theirs"]:
    """Mean share of each class among the others in the group of a person of each class.

    A row sums to the share of its people who are not alone: each has one contact to share out,
    however large the group.

    Raises:
        DataError: a class outside 0 .. num_classes - 1, or another number of people.
    """
    class_of = _checked(member_of, class_of, num_classes)
    pairs = np.zeros((num_classes, num_classes))
    for counts in _counts_by_group(member_of, num_groups, class_of, num_classes):
        others = counts.sum(axis=1) - 1
        shared = counts / np.where(others > 0, others, np.inf)[:, None]
        pairs += counts.T @ shared - np.diag(shared.sum(axis=0))
    return _a_person(pairs, class_of, num_classes)


def _checked(member_of: np.ndarray, class_of: np.ndarray, num_classes: int) -> np.ndarray:
    if class_of.shape != member_of.shape:
        raise DataError(f"{len(class_of)} classes were given for {len(member_of)} people")
    class_of = class_of.astype(np.int64)
    wrong = (class_of < 0) | (class_of >= num_classes)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"class {class_of[row]} in row {row} is outside 0 .. {num_classes - 1}")
    return class_of


def _a_person(pairs: np.ndarray, class_of: np.ndarray, num_classes: int) -> np.ndarray:
    people = np.bincount(class_of, minlength=num_classes).astype(float)
    return np.divide(pairs, people[:, None], out=np.zeros_like(pairs), where=people[:, None] > 0)


def _counts_by_group(
    member_of: np.ndarray, num_groups: int, class_of: np.ndarray, num_classes: int
) -> Iterator[np.ndarray]:
    """People of each class in each group; blocks of groups bound memory."""
    inside = member_of >= 0
    groups, classes = member_of[inside].astype(np.int64), class_of[inside]
    if np.any(groups[1:] < groups[:-1]):
        order = np.argsort(groups, kind="stable")
        groups, classes = groups[order], classes[order]
    block = max(1, _CELLS_AT_ONCE // num_classes)
    for first in range(0, num_groups, block):
        start, stop = np.searchsorted(groups, [first, first + block])
        cells = (groups[start:stop] - first) * num_classes + classes[start:stop]
        length = min(block, num_groups - first) * num_classes
        yield np.bincount(cells, minlength=length).reshape(-1, num_classes).astype(float)
