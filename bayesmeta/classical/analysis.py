"""Classical analyses of `Studies`: one method, the usual ones side by side, and leaving out each study."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bayesmeta.classical.counts import MANTEL_HAENSZEL, mantel_haenszel, peto
from bayesmeta.classical.heterogeneity import Heterogeneity, heterogeneity
from bayesmeta.classical.location_scale import SCALE_METHODS, SCALE_TESTS, location_scale
from bayesmeta.classical.pooling import METHODS, check_options, pool
from bayesmeta.classical.problem import problem
from bayesmeta.design import build_design
from bayesmeta.errors import ModelError
from bayesmeta.scale_design import build_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bayesmeta.classical.result import Classical
    from bayesmeta.design import Design
    from bayesmeta.scale_design import ScaleDesign
    from bayesmeta.studies import Studies

COUNTS: Mapping[str, Callable[..., Classical]] = MappingProxyType({"MH": mantel_haenszel, "Peto": peto})
"""Methods that pool the arm counts instead of the effects."""
SUITE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "fixed": ("FE", "z"),
        "DL": ("DL", "z"),
        "PM": ("PM", "z"),
        "REML": ("REML", "z"),
        "REML_HK": ("REML", "knha"),
    }
)
"""Method and test of each analysis that stands beside a Bayesian one."""


class LeftOut(NamedTuple):
    """An analysis without one study."""

    omitted: str
    """Label of the study left out."""
    result: Classical
    """Analysis of the others."""


def classical(
    studies: Studies,
    mods: str | Design = "1",
    *,
    scale: str = "1",
    center: bool = True,
    method: str = "REML",
    test: str = "z",
    level: float = 0.95,
) -> Classical:
    """Return the classical meta-analysis, meta-regression or location-scale model of studies.

    Parameters
    ----------
    studies : Studies
        Effects with their sampling variances or covariance.
    mods : str or Design
        Right-hand side of the formula of the moderators; ``"1"`` pools.
    scale : str
        Right-hand side of the formula of log tau; ``"1"`` gives all studies one tau. Others need "REML" or
        "ML", and test "z" or "t".
    center : bool
        Whether the tau of a scale formula is that at the means of its columns, rather than where they are 0.
    method : {"REML", "FE", "DL", "PM", "ML", "HE", "HS", "SJ", "EB", "MH", "Peto"}
        Fixed effect, an estimator of the between-study variance, or a method for two-by-two tables.
    test : {"z", "t", "knha", "adhoc"}
        Normal, t with k - p degrees of freedom, Knapp-Hartung, Knapp-Hartung with a factor of at least 1.
    level : float
        Confidence level of every interval.

    Returns
    -------
    Classical
        Effects on the analysis scale (logarithms for ratio measures).

    Raises
    ------
    AnalysisError
        Unknown method, test or level.
    ModelError
        No studies, too many coefficients, or a method that cannot do this.

    Notes
    -----
    Studies that are not estimable (double-zero tables, say) enter only "MH" and "Peto". Where V is a
    covariance, the analysis is that of ``y ~ N(X beta, V + tau^2 I)``.

    With a scale formula, ``y_i ~ N(x_i' beta, v_i + tau_i^2)`` and ``log tau_i = log tau + z_i' delta``
    (Viechtbauer and López-López 2022, whose coefficients of log tau^2 are twice these). Where no taus attain
    the highest likelihood, because it rises as some of them go to 0, they are 0 and `Classical.notes` says
    so.

    References
    ----------
    Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res Synth Methods
    13:697-715. doi:10.1002/jrsm.1562
    Viechtbauer W (2010). Conducting meta-analyses in R with the metafor package. J Stat Softw 36(3).
    doi:10.18637/jss.v036.i03
    """
    check_options(method, test, level, methods=(*METHODS, *COUNTS))
    spread = _scale(studies, scale, center)
    if spread is not None:
        _check_scale(scale, method, test)
        known = _evidence(studies, mods, level)
        return location_scale(known, spread, method=method, test=test, slab=studies.pooled().slab)
    if method not in COUNTS:
        return pool(_evidence(studies, mods, level), method=method, test=test)
    if not _is_pooled(mods) or test != "z":
        raise ModelError(
            f"method '{method}' must have no moderators and test 'z'; got mods '{_text(mods)}' and test "
            f"'{test}'; use method='REML'"
        )
    return COUNTS[method](studies, level=level)


def classical_suite(
    studies: Studies,
    mods: str | Design = "1",
    *,
    scale: str = "1",
    center: bool = True,
    level: float = 0.95,
) -> dict[str, Classical]:
    """Return the usual classical analyses side by side.

    Parameters
    ----------
    studies : Studies
        Effects with their sampling variances or covariance.
    mods : str or Design
        Right-hand side of the formula of the moderators; ``"1"`` pools.
    scale, center : str, bool
        Formula of log tau and whether its columns are centred, as in `classical`.
    level : float
        Confidence level of every interval.

    Returns
    -------
    dict
        ``fixed``, ``DL``, ``PM``, ``REML`` and ``REML_HK``, which have one tau; with a scale formula also
        ``ML_LS`` and ``REML_LS``, which have the taus of a location-scale model. For counts without
        moderators also ``MH`` on the scale of the studies' measure, and ``Peto`` where that is the log odds
        ratio.

    Raises
    ------
    AnalysisError
        Impossible level.
    ModelError
        No studies, or too many coefficients.
    """
    check_options("FE", "z", level)
    known = _evidence(studies, mods, level)
    suite = {name: pool(known, method=method, test=test) for name, (method, test) in SUITE.items()}
    spread = _scale(studies, scale, center)
    if spread is not None:
        slab = studies.pooled().slab
        suite |= {
            f"{method}_LS": location_scale(known, spread, method=method, slab=slab)
            for method in reversed(SCALE_METHODS)
        }
    if known.problem.is_pooled and studies.measure in MANTEL_HAENSZEL and studies.arms:
        suite["MH"] = mantel_haenszel(studies, level=level)
    if known.problem.is_pooled and studies.measure in {"OR", "PETO"} and studies.arms:
        suite["Peto"] = peto(studies, level=level)
    return suite


def leave_one_out(
    studies: Studies, *, method: str = "REML", test: str = "z", level: float = 0.95
) -> tuple[LeftOut, ...]:
    """Return the pooled effect without each study in turn.

    Parameters
    ----------
    studies : Studies
        At least two studies that the method can use.
    method, test, level : str, str, float
        As in `classical`.

    Raises
    ------
    ModelError
        Fewer than two studies.
    """
    usable = studies if method in COUNTS else studies.pooled()
    if usable.k < 2:
        raise ModelError(f"leave-one-out needs at least 2 studies with an estimate; got {usable.k}")
    return tuple(
        LeftOut(label, classical(usable.without(i), method=method, test=test, level=level))
        for i, label in enumerate(usable.slab)
    )


def _evidence(studies: Studies, mods: str | Design, level: float) -> Heterogeneity:
    """Return the problem of the studies that have an estimate, with what they say about heterogeneity."""
    usable = studies.pooled()
    if isinstance(mods, str):
        design = build_design(mods, usable.columns, slab=usable.slab, k=usable.k)
    else:
        design = mods
    names = ("mu",) if design.is_pooled else design.names
    data = problem(usable.yi, usable.vi, design.X, V=usable.V, names=names, intercept=design.intercept)
    return heterogeneity(data, level=level)


def _scale(studies: Studies, scale: str, center: bool) -> ScaleDesign | None:
    """Return the design of a scale formula; None where one tau serves all."""
    usable = studies.pooled()
    spread = build_scale(scale, usable, center=center)
    if spread is not None and usable.V is not None:
        raise ModelError(
            f"correlated effects (V with covariances) must have one tau for all studies; got scale "
            f"'{scale}'; use scale='1'"
        )
    return spread


def _check_scale(scale: str, method: str, test: str) -> None:
    """Refuse methods and tests that location-scale models do not have."""
    if method not in SCALE_METHODS or test not in SCALE_TESTS:
        raise ModelError(
            f"scale '{scale}' must have method 'REML' or 'ML' and test 'z' or 't'; got method '{method}' and "
            f"test '{test}'; use scale='1'"
        )


def _is_pooled(mods: str | Design) -> bool:
    """Return whether there are no moderators."""
    return mods.strip() == "1" if isinstance(mods, str) else mods.is_pooled


def _text(mods: str | Design) -> str:
    """Return the formula of the moderators."""
    return mods if isinstance(mods, str) else str(mods.formula)
