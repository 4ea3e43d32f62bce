"""Roots of many functions of one variable at once, each in its bracket.

References
----------
Chandrupatla TR (1997). A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear
function without using derivatives. Adv Eng Softw 28:145-149. doi:10.1016/S0965-9978(96)00051-8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats, Ints

STEPS = 80
CLOSE = 4e-16
"""Width of a bracket relative to its place below which it is not narrowed."""


def roots(f: Callable[[Floats, Ints], Floats], a: Floats, b: Floats, enough: float) -> Floats:
    """Return a root of each of n functions between a and b, where it has opposite signs.

    Parameters
    ----------
    f : callable
        Given points (m,) and which of the functions they are for (m,), returns the values (m,).
    a, b : (n,) arrays
        Ends of the brackets.
    enough : float
        Absolute value that counts as 0.

    Notes
    -----
    Chandrupatla's method: inverse quadratic interpolation where that is safe, else the middle.
    """
    everything = np.arange(a.size)
    x1, x2 = b.astype(float), a.astype(float)
    f1, f2 = f(x1, everything), f(x2, everything)
    x3, f3 = x1.copy(), f1.copy()
    t = np.full(a.size, 0.5)
    for _ in range(STEPS):
        best = np.where(np.abs(f1) < np.abs(f2), x1, x2)
        narrow = np.abs(x2 - x1) <= CLOSE * np.abs(best)
        active = np.flatnonzero((np.minimum(np.abs(f1), np.abs(f2)) > enough) & ~narrow)
        if not active.size:
            break
        x = x1[active] + t[active] * (x2[active] - x1[active])
        value = f(x, active)
        same = np.sign(value) == np.sign(f1[active])
        x3[active] = np.where(same, x1[active], x2[active])
        f3[active] = np.where(same, f1[active], f2[active])
        x2[active] = np.where(same, x2[active], x1[active])
        f2[active] = np.where(same, f2[active], f1[active])
        x1[active], f1[active] = x, value
        t = _next(x1, x2, x3, f1, f2, f3)
    return np.where(np.abs(f1) < np.abs(f2), x1, x2)


def _next(x1: Floats, x2: Floats, x3: Floats, f1: Floats, f2: Floats, f3: Floats) -> Floats:
    """Return the part of the bracket from x1 to x2 at which to look next, (n,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
        safe = (1 - np.sqrt(1 - xi) < phi) & (phi < np.sqrt(xi))
        t = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    t = np.where(safe & np.isfinite(t), t, 0.5)
    return np.clip(t, 1e-6, 1 - 1e-6)
