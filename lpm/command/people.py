"""Who a run happens to where a file is given: its people in place of the scenario's."""

from functools import cache

from ..errors import SimulationError
from ..population import Population, load_population, subsample


class FromFile:
    """Builds a population as a scenario wants it from one that lies on disk.

    Fewer people than there are are a sample of whole households at constant density.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, size: int, *, seed: int = 0, capacity: int | None = None) -> Population:
        """So many of the people in the file.

        Raises:
            SimulationError: there are not so many.
            DataError: the file is missing or unreadable.
        """
        whole = _load(self.path)
        if size > whole.size:
            raise SimulationError(
                f"{self.path} has {whole.size:,} people, not {size:,}; give --agents up to that"
            )
        people = whole if size == whole.size else subsample(whole, size / whole.size, seed)
        return people if capacity is None else people.with_capacity(capacity)

    @property
    def size(self) -> int:
        """People in the file."""
        return _load(self.path).size

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all the people in the file."""
        return _load(self.path).fingerprint


@cache
def _load(path: str) -> Population:
    return load_population(path)
