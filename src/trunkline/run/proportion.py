"""A share that knows how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan, sqrt


@dataclass(frozen=True, slots=True)
class Proportion:
    """*hits* of *n*, printed with its 95 % Wilson interval (Wilson 1927).

    >>> print(Proportion(29, 40))
    .72 [.57, .84] (29 of 40)
    """

    hits: int
    n: int

    @property
    def share(self) -> float:
        """Hits over n, NaN where n is 0."""
        return self.hits / self.n if self.n else nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        if not self.n:
            return nan, nan
        z, p = 1.96, self.share
        middle, half, scale = p + z * z / (2 * self.n), z * sqrt(p * (1 - p) / self.n + z * z / (4 * self.n**2)), 1 + z * z / self.n
        return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)

    def __str__(self) -> str:
        if not self.n:
            return "none to find"
        low, high = self.interval
        return f"{_short(self.share)} [{_short(low)}, {_short(high)}] ({self.hits} of {self.n})"


def _short(share: float) -> str:
    return f"{share:.2f}".lstrip("0") if 0 < share < 1 else f"{share:.2f}"
