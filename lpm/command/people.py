"""Who a run happens to where a file is given: its people in place of the scenario's."""

from functools import lru_cache
from pathlib import Path

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
        whole = self._whole
        if size > whole.size:
            raise SimulationError(
                f"{self.path} has {whole.size:,} people, not {size:,}; give --agents up to that"
            )
        people = whole if size == whole.size else subsample(whole, size / whole.size, seed)
        return people if capacity is None else people.with_capacity(capacity)

    @property
    def _whole(self) -> Population:
        """All of them, read again if they were written again."""
        path = Path(self.path)
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        stamps = [part.stat().st_mtime_ns for part in parts if part.exists()]
        return _load(self.path, tuple(stamps))

    @property
    def size(self) -> int:
        """People in the file."""
        return self._whole.size

    @property
    def fingerprint(self) -> str:
        """Fingerprint of all the people in the file."""
        return self._whole.fingerprint


@lru_cache(maxsize=1)
def _load(path: str, _: tuple[int, ...]) -> Population:
    return load_population(path)
