"""Permutation tests of meta-regression coefficients, and of a pooled effect by changes of sign.

References
----------
Higgins JPT, Thompson SG (2004). Controlling the risk of spurious findings from meta-regression. Stat Med
23:1663-1682. doi:10.1002/sim.1752
Follmann DA, Proschan MA (1999). Valid inference in random effects meta-analysis. Biometrics 55:732-737.
doi:10.1111/j.0006-341X.1999.00732.x
Phipson B, Smyth GK (2010). Permutation p-values should never be zero. Stat Appl Genet Mol Biol 9:39.
doi:10.2202/1544-6115.1585
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import factorial, nan, prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.classical.heterogeneity import Heterogeneity, estimate_tau2, q_roots
from bayesmeta.classical.pooling import check_options, scale_factor
from bayesmeta.classical.problem import Problem, problem
from bayesmeta.classical.projection import coefficients, dot, project
from bayesmeta.design import build_design
from bayesmeta.errors import AnalysisError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from bayesmeta.arrays import Floats, Ints
    from bayesmeta.studies import Studies

MOST = 5_000
"""Permutations up to which all are made."""
CLOSE = 1e-9
"""Relative difference of two statistics that counts as none."""


class PermutationTest(NamedTuple):
    """Tests that rest on the permutations alone."""

    names: tuple[str, ...]
    """Names of the p coefficients."""
    statistic: Floats
    """(p,) z or t statistics of the data as they are."""
    p_value: Floats
    """(p,) share of the permutations whose statistic is at least as large in size."""
    QM: float
    """Test of all moderators, of the effect where there are none: chi-squared, or F for t statistics."""
    QM_p: float
    """Share of the permutations whose QM is at least as large."""
    permutations: int
    """Number of permutations, the data as they are included."""
    exact: bool
    """Whether they are all that there are."""

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each coefficient and for ``QM``: columns ``statistic`` and ``p``."""
        import pandas as pd

        index = pd.Index([*self.names, "QM"], name="coefficient")
        columns = {"statistic": [*self.statistic, self.QM], "p": [*self.p_value, self.QM_p]}
        return pd.DataFrame(columns, index=index)


class _Statistics(NamedTuple):
    z: Floats
    QM: float


def permutation_test(
    studies: Studies,
    mods: str = "1",
    *,
    method: str = "REML",
    test: str = "z",
    most: int = MOST,
    seed: int = 0,
) -> PermutationTest:
    """Return permutation tests of the coefficients of a meta-regression.

    Parameters
    ----------
    studies : Studies
        Effects with their sampling variances.
    mods : str
        Right-hand side of the formula of the moderators.
    method, test : str
        As in `bayesmeta.classical.classical`.
    most : int
        Number of permutations up to which all are made; as many are drawn where there are more.
    seed : int
        Seed of the drawn ones.

    Raises
    ------
    AnalysisError
        Unknown method or test, or fewer than 100 permutations asked for.
    ModelError
        No studies, too many coefficients, or correlated effects.

    Notes
    -----
    The rows of the design matrix are dealt to the studies, whose effects and variances stay together; without
    moderators the signs of the effects are changed instead. p-values are two-sided by the size of the
    statistic. With drawn permutations the data as they are count as one of them (Phipson and Smyth 2010).
    """
    check_options(method, test, 0.95)
    if isinstance(most, bool) or most < 100:
        raise AnalysisError(f"most must be a number of permutations of at least 100; got {most}")
    base = _problem(studies, mods)
    rng = np.random.default_rng(seed)
    exact, dealt = _signs(base, most, rng) if base.is_pooled else _orders(base, most, rng)
    here = _statistics(base, method, test)
    found = [_statistics(other, method, test) for other in dealt]
    z = np.array([one.z for one in found])
    QM = np.array([one.QM for one in found])
    return PermutationTest(
        names=base.names,
        statistic=here.z,
        p_value=_share(np.abs(z), np.abs(here.z), exact=exact),
        QM=here.QM,
        QM_p=float(_share(QM, np.asarray(here.QM), exact=exact)),
        permutations=len(found) + (not exact),
        exact=exact,
    )


def _problem(studies: Studies, mods: str) -> Problem:
    usable = studies.pooled()
    if usable.V is not None:
        raise ModelError("a permutation test needs independent effects; these are correlated (V)")
    design = build_design(mods, usable.columns, slab=usable.slab, k=usable.k)
    names = ("mu",) if design.is_pooled else design.names
    return problem(usable.yi, usable.vi, design.X, names=names, intercept=design.intercept)


def _share(found: Floats, here: Floats, *, exact: bool) -> Floats:
    """Return the share of statistics at least as large as that of the data."""
    count = (found >= here * (1 - CLOSE)).sum(axis=0)
    n = found.shape[0]
    return np.asarray(count / n if exact else (count + 1) / (n + 1))


def _statistics(data: Problem, method: str, test: str) -> _Statistics:
    """Return z or t of the coefficients and QM."""
    known = _heterogeneity(data, method)
    tau2 = estimate_tau2(known, method).value
    at = project(data.data, np.array([0.0 if np.isnan(tau2) else tau2]))
    beta, root = coefficients(data.data, at)
    root *= np.sqrt(scale_factor(data, at, known.df, test))
    size = np.sqrt(dot(root, root))
    tested = slice(1, None) if data.intercept and data.p > 1 else slice(None)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = beta / size
        solved = np.linalg.lstsq(root[tested] / size[tested, None], z[tested], rcond=None)[0]
    QM = float(solved @ solved)
    return _Statistics(z, QM if test == "z" else QM / beta[tested].size)


def _heterogeneity(data: Problem, method: str) -> Heterogeneity:
    """Return what the estimator of tau^2 needs to know, and no more."""
    fixed, df = project(data.data, np.zeros(1)), data.k - data.p
    Q = float(fixed.Q[0])
    typical = df / float(fixed.trace[0]) if df else nan
    middle = nan
    if method in {"PM", "EB"} and df:
        middle = float(q_roots(data.data, np.array([float(df)]), at_zero=Q)[0])
    return Heterogeneity(data, Q, df, nan, typical, nan, nan, middle, 0.95)


def _signs(base: Problem, most: int, rng: np.random.Generator) -> tuple[bool, Iterator[Problem]]:
    """Return problems with the signs of the effects changed, and whether they are all."""
    k = base.k
    exact = 2**k <= most
    signs = product((1.0, -1.0), repeat=k) if exact else iter(rng.choice((1.0, -1.0), size=(most - 1, k)))
    return exact, (_with(base, base.y * np.asarray(sign), np.arange(k)) for sign in signs)


def _orders(base: Problem, most: int, rng: np.random.Generator) -> tuple[bool, Iterator[Problem]]:
    """Return problems with the rows of the design dealt to other studies, and whether they are all."""
    codes = np.unique(base.X, axis=0, return_inverse=True)[1].reshape(-1)
    exact = distinct_orders(codes) <= most
    orders = _all_orders(codes) if exact else (rng.permutation(base.k) for _ in range(most - 1))
    return exact, (_with(base, base.y, order) for order in orders)


def _with(base: Problem, y: Floats, order: Ints) -> Problem:
    """Return the problem with other effects and the rows of its design in another order.

    The orthonormal columns are only reordered; nothing is decomposed again.
    """
    X, basis = base.X[order], base.data.basis[order]
    residual = y - X @ base.data.origin
    return replace(base, y=y, X=X, data=replace(base.data, residual=residual, basis=basis))


def distinct_orders(codes: Ints) -> int:
    """Return the number of different orders of labels, some of which are the same."""
    return factorial(codes.size) // prod(factorial(int(count)) for count in np.bincount(codes))


def _all_orders(codes: Ints) -> Iterator[Ints]:
    """Yield each different order of the labels once, as places, by the next one in alphabetical order."""
    places = [list(np.flatnonzero(codes == label)) for label in range(int(codes.max()) + 1)]
    word = sorted(codes.tolist())
    while True:
        left = [iter(one) for one in places]
        yield np.array([next(left[label]) for label in word])
        fall = next((i for i in range(len(word) - 2, -1, -1) if word[i] < word[i + 1]), None)
        if fall is None:
            return
        swap = next(i for i in range(len(word) - 1, fall, -1) if word[i] > word[fall])
        word[fall], word[swap] = word[swap], word[fall]
        word[fall + 1 :] = reversed(word[fall + 1 :])
