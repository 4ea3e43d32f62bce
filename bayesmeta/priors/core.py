"""What a prior is: a frozen, comparable distribution of one parameter that prints as it is written."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import inf, isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bayesmeta.arrays import LARGEST
from bayesmeta.errors import PriorError, told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats


@dataclass(frozen=True, slots=True)
class Prior:
    """A prior of one parameter. Families are subclasses, with the names and parameters of PyMC.

    Notes
    -----
    A family gives `logpdf`, `cdf`, `quantile` and the facts that theory needs: its support, whether it is
    proper, and its tail.
    """

    positive: ClassVar[frozenset[str]] = frozenset()
    """Parameters that must be above 0."""
    keywords: ClassVar[bool] = False
    """Whether parameters are printed with their names."""
    proper: ClassVar[bool] = True
    """Whether the density integrates to 1; an improper one has the stated constant."""
    instead_of_zero: ClassVar[str] = ""
    """What to write where a parameter that must be positive was meant to be 0."""
    in_units: ClassVar[frozenset[str]] = frozenset()
    """Parameters in the units of the quantity."""
    in_inverse_units: ClassVar[frozenset[str]] = frozenset()
    """Parameters in one over the units of the quantity."""
    kinds: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Parameters that are no finite numbers: ``"prior"``, ``"priors"``, ``"numbers"`` or ``"bound"``."""

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise PriorError(f"{type(self).__name__}.{part.name} must be a number; got {told(value)}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise PriorError(
                    f"{type(self).__name__}.{part.name} must be a finite number; got {told(value)}"
                )
            object.__setattr__(self, part.name, float(value))
            self._check(part.name, float(value))

    def _check(self, name: str, value: float) -> None:
        if name in self.positive and not (value > 0 and isfinite(value)):
            hint = f"; {self.instead_of_zero}" if value == 0 and self.instead_of_zero else ""
            raise PriorError(
                f"{type(self).__name__}.{name} must be a positive number; got {number(value)}{hint}"
            )
        if not isfinite(value):
            raise PriorError(f"{type(self).__name__}.{name} must be a finite number; got {number(value)}")

    def __str__(self) -> str:
        values = [(part.name, number(getattr(self, part.name))) for part in fields(self)]
        shown = [f"{name}={value}" if self.keywords else value for name, value in values]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def support(self) -> tuple[float, float]:
        """Interval outside which the density is 0."""
        return -inf, inf

    @property
    def tail(self) -> float:
        """Exponent a of a density that falls like ``|x|^-a``; infinite for lighter tails."""
        return inf

    @property
    def regular(self) -> bool:
        """Whether the density of a positive quantity is analytic at 0, from the right."""
        return True

    @property
    def even(self) -> bool:
        """Whether the density of a positive quantity is part of an even analytic one on the whole line."""
        return False

    @property
    def smooth(self) -> bool:
        """Whether the density of a positive quantity is analytic above 0, without bounds or kinks."""
        return False

    @property
    def for_location(self) -> bool:
        """Whether it can be the prior of an effect or a coefficient."""
        return False

    @property
    def parts(self) -> tuple[tuple[float, Prior], ...]:
        """Components of a mixture with their probabilities; of any other prior, the prior itself."""
        return ((1.0, self),)

    @property
    def mean(self) -> float:
        """Mean; NaN where it does not exist."""
        from bayesmeta.priors.moments import mean_of

        return mean_of(self)

    @property
    def typical(self) -> float:
        """Size of typical values: the median of the absolute value, which tells where to look."""
        low, high = self.support
        if low >= 0:
            return float(self.quantile(np.array(0.5)))
        lower, upper = self.quantile(np.array([0.25, 0.75]))
        return float(upper - lower) / 2 if isfinite(high - low) or self.proper else inf

    def logpdf(self, x: Floats) -> Floats:
        """Return the log density at `x`, minus infinity outside the support."""
        raise NotImplementedError

    def cdf(self, x: Floats) -> Floats:
        """Return the probability of values up to `x`."""
        raise NotImplementedError

    def quantile(self, p: Floats) -> Floats:
        """Return the values below which the probabilities are `p`."""
        raise NotImplementedError

    def written(self) -> str:
        """Return the text that reads back as the same prior.

        Raises
        ------
        PriorError
            If it holds a Python function.
        """
        return str(self)

    def rescaled(self, unit: float) -> Prior:
        """Return the prior of the quantity measured in another unit, so that 1 becomes ``1 / unit``."""
        divided = {name: getattr(self, name) / unit for name in self.in_units}
        multiplied = {name: getattr(self, name) * unit for name in self.in_inverse_units}
        return replace(self, **divided, **multiplied)

    def sample(self, size: int, rng: np.random.Generator) -> Floats:
        """Return `size` independent draws.

        Raises
        ------
        PriorError
            If the prior is improper.
        """
        if not self.proper:
            raise PriorError(f"{self} is improper and has no draws; use a proper prior")
        return self.quantile(rng.random(size))


def number(value: float) -> str:
    """Return the shortest text that reads back as `value`, whole numbers without a point."""
    value = float(value)
    whole = isfinite(value) and value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else repr(value)


def within(x: Floats, log_density: Floats, low: float, high: float = inf) -> Floats:
    """Return the log density where low <= x <= high, minus infinity elsewhere."""
    x = np.asarray(x)
    return np.where((x >= low) & (x <= high), log_density, -inf)
