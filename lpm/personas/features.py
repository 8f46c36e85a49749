"""Numbers that stand for a persona: its attributes, their pairs, and the words that describe it."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from ..errors import PersonaError
from .cells import Cells


def attributes(cells: Cells) -> Float[np.ndarray, "cell feature"]:
    """Values of all attributes, and a mark for each of their bands that occurs."""
    marks = [
        cells.band_of[:, i] == band
        for i in range(len(cells.bands))
        for band in np.unique(cells.band_of[:, i])
    ]
    return np.column_stack([cells.values, *marks]).astype(np.float64)


def pairs(cells: Cells) -> Float[np.ndarray, "cell feature"]:
    """Marks for every pair of bands of two attributes that occurs."""
    found = []
    for i in range(len(cells.bands)):
        for j in range(i):
            code = cells.band_of[:, i] * (len(cells.bands[j].edges) + 1) + cells.band_of[:, j]
            found += [code == one for one in np.unique(code)]
    return np.column_stack(found).astype(np.float64) if found else np.zeros((len(cells), 0))


def hashed_words(texts: Sequence[str], width: int = 128) -> Float[np.ndarray, "text feature"]:
    """Words, pairs of words and runs of four letters, hashed into `width` signed sums of length 1.

    The same text gives the same numbers on every machine; nothing is learnt and nothing is fetched.
    Source: Weinberger et al. (2009), Feature hashing for large scale multitask learning.

    Raises:
        PersonaError: a width below 1.
    """
    if width < 1:
        raise PersonaError(f"width = {width}; give room for at least one feature")
    table = np.zeros((len(texts), width))
    for row, text in zip(table, texts, strict=True):
        words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
        letters = f" {' '.join(words)} "
        grams = [*words, *(f"{a} {b}" for a, b in pairwise(words))]
        grams += [f"#{letters[i : i + 4]}" for i in range(len(letters) - 3)]
        for gram in grams:
            code = int.from_bytes(blake2b(gram.encode(), digest_size=8).digest(), "little")
            row[code % width] += 1.0 if code >> 63 else -1.0
    length = np.linalg.norm(table, axis=1, keepdims=True)
    return table / np.where(length > 0, length, 1)
