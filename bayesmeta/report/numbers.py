"""Numbers as a reader wants them: no more digits than their error supports, and words for none."""

from __future__ import annotations

from decimal import Decimal
from math import ceil, floor, isfinite, log10, sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

type Block = Mapping[str, Any]

SPACE = "\u00a0"
"""A space at which no line breaks."""
ABSENT = "does not exist"
NOTHING = "–"
"""What stands where there is nothing to say."""
FINEST = 6
"""Decimals beyond which numbers are written with a power of ten."""
LARGEST = 1e7
UNITS_OF_ERROR = 3.0
"""Monte Carlo standard error, in units of the last digit shown, above which that digit is dropped."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def known(value: object) -> bool:
    """Return whether `value` is a finite number; JSON has null for the others."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def decimals_for(spread: object, error: object = 0.0) -> int:
    """Return the decimals that show two digits of a spread, and none that a Monte Carlo error makes empty.

    Parameters
    ----------
    spread : float
        Standard deviation, standard error or half an interval; 0 or unknown gives two decimals.
    error : float
        Monte Carlo standard error.

    Examples
    --------
    >>> decimals_for(0.011), decimals_for(0.011, 0.005)
    (3, 2)
    """
    wanted = 2 if not known(spread) or not spread else 1 - floor(log10(abs(spread)))  # type: ignore[arg-type]
    return supported(max(0, wanted), error)


def number(value: object, decimals: int = 2) -> str:
    """Return a number with that many decimals; words where it does not exist.

    Examples
    --------
    >>> number(-0.0714, 3), number(float("nan")), number(1.5e-9, 10)
    ('−0.071', 'does not exist', '1.5×10⁻⁹')
    """
    if not known(value):
        return ABSENT if value is None or value != value else ("∞" if float(value) > 0 else "−∞")  # type: ignore[arg-type]
    x = float(value)  # type: ignore[arg-type]
    if x and (decimals > FINEST or abs(x) >= LARGEST):
        return _scientific(x, decimals)
    text = f"{x:.{min(decimals, FINEST)}f}"
    return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")


def _scientific(x: float, decimals: int) -> str:
    digits = min(max(decimals + floor(log10(abs(x))), 1), 3)
    mantissa, exponent = f"{x:.{digits}e}".split("e")
    return f"{mantissa}×10{str(int(exponent)).translate(_RAISED)}".replace("-", "−")


def ratio(value: object, error: object = 0.0) -> str:
    """Return a ratio with two or three digits; `error` is the Monte Carlo error of its logarithm."""
    if not known(value):
        return number(value)
    x = float(value)  # type: ignore[arg-type]
    if x <= 0 or not 1e-4 <= x < 1e5:
        return number(x, 2) if x <= 0 else _scientific(x, 1 - floor(log10(x)))
    wanted = next(n for limit, n in ((0.0095, 4), (0.0995, 3), (9.995, 2), (99.95, 1), (1e9, 0)) if x < limit)
    scale = x * float(error) if known(error) else 0.0  # type: ignore[arg-type]
    return f"{x:.{supported(wanted, scale)}f}"


def significant(value: object, digits: int = 3) -> str:
    """Return a number with so many significant digits."""
    if not known(value) or not value:
        return number(value, 0)
    x = float(value)  # type: ignore[arg-type]
    return number(x, max(0, digits - 1 - floor(log10(abs(x)))))


def written(value: float) -> str:
    """Return a number as somebody would write it: the shortest text that reads back as it."""
    text = f"{value:.15g}"
    return (f"{Decimal(text):f}" if 1e-7 < abs(value) < LARGEST else text).replace("-", "−")


def percent(value: object, decimals: int = 0) -> str:
    """Return a percentage; `value` is in percent."""
    return f"{number(value, decimals)}{SPACE}%" if known(value) else number(value)


def level(prob: float) -> str:
    """Return a level such as ``95 %``."""
    return f"{100 * prob:.10g}{SPACE}%"


def p_value(value: object) -> str:
    """Return a p-value, with a bound where it is small."""
    if not known(value):
        return NOTHING
    p = float(value)  # type: ignore[arg-type]
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def probability(value: object, draws: object = None) -> str:
    r"""Return a probability in percent, with bounds near 0 and 1.

    Parameters
    ----------
    value : float
        Probability.
    draws : float, optional
        Effective number of draws it was counted in; decimals stop where that count can no longer tell.

    Examples
    --------
    >>> [probability(*one).replace("\xa0", " ") for one in ((0.9837,), (0.9837, 3000), (0.62, 400), (1.0,))]
    ['98.4 %', '98.4 %', '62 %', 'above 99.9 %']
    """
    if not known(value):
        return number(value)
    p = float(value)  # type: ignore[arg-type]
    if p > 0.999 or p < 0.001:
        return f"above 99.9{SPACE}%" if p > 0.5 else f"below 0.1{SPACE}%"
    error = 100 * sqrt(p * (1 - p) / float(draws)) if known(draws) and draws else 0.0  # type: ignore[arg-type]
    return percent(100 * p, 1 if error <= UNITS_OF_ERROR * 0.1 else 0)


class Shown(NamedTuple):
    """A quantity as text."""

    centre: str
    """Median or estimate."""
    lower: str
    """Lower bound."""
    upper: str
    """Upper bound."""

    @property
    def interval(self) -> str:
        """Both bounds in brackets."""
        return bracketed(self.lower, self.upper)

    @property
    def text(self) -> str:
        """Centre and bounds."""
        return f"{self.centre} {self.interval}"


def bracketed(lower: str, upper: str) -> str:
    """Return two bounds in brackets; a dash where there are none."""
    if lower == upper == ABSENT:
        return NOTHING
    return f"[{lower},{SPACE}{upper}]"


def spread_of(block: Block) -> float | None:
    """Return the standard deviation of a quantity, or what its interval says where that does not exist."""
    for name in ("sd", "se"):
        if known(block.get(name)) and block[name] > 0:
            return float(block[name])
    lower, upper = block.get("lower"), block.get("upper")
    return (upper - lower) / 4 if known(lower) and known(upper) and upper > lower else None  # type: ignore[operator]


def quantity(block: Block, decimals: int | None = None) -> Shown:
    """Return median and interval of a posterior; `decimals` are for them if the errors allow."""
    error = block.get("error") or {}
    chosen = decimals_for(spread_of(block)) if decimals is None else decimals
    centre = supported(chosen, error.get("mcse_median"))
    bounds = min(supported(chosen, error.get(f"mcse_{side}")) for side in ("lower", "upper"))
    places = {"median": centre, "lower": bounds, "upper": bounds}
    return Shown(*(number(block.get(name), count) for name, count in places.items()))


def supported(decimals: int, error: object) -> int:
    """Return how many of the decimals a Monte Carlo standard error supports."""
    if not known(error) or not error:
        return decimals
    return max(0, min(decimals, floor(log10(UNITS_OF_ERROR) - log10(abs(error)))))  # type: ignore[arg-type]


def ratio_quantity(block: Block) -> Shown:
    """Return median and interval of the posterior of a ratio."""
    error, values = block.get("error") or {}, block.get("exp") or {}
    names = ("median", "lower", "upper")
    return Shown(*(ratio(values.get(name), error.get(f"mcse_{name}", 0.0)) for name in names))


def estimate(block: Block, decimals: int | None = None) -> Shown:
    """Return estimate and interval of a classical analysis."""
    chosen = decimals_for(spread_of(block)) if decimals is None else decimals
    return Shown(*(number(block.get(name), chosen) for name in ("estimate", "lower", "upper")))


def ratio_estimate(block: Block) -> Shown:
    """Return estimate and interval of a classical ratio."""
    values = block.get("exp") or {}
    return Shown(*(ratio(values.get(name)) for name in ("estimate", "lower", "upper")))


def rounded_up(value: float, digits: int = 2) -> str:
    """Return an upper bound, rounded up so that it stays one."""
    if not known(value) or value <= 0:
        return number(value, digits)
    scale = 10 ** (digits - 1 - floor(log10(value)))
    return written(float(f"{ceil(value * scale - 1e-9) / scale:.{digits}g}"))
