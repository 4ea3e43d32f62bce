"""Which moderators matter? The evidence of every subset of them, and answers averaged over all subsets.

References
----------
Hoeting JA, Madigan D, Raftery AE, Volinsky CT (1999). Bayesian model averaging: a tutorial. Stat Sci
14:382-417. doi:10.1214/ss/1009212519
Gronau QF, Heck DW, Berkhout SW, Haaf JM, Wagenmakers EJ (2021). A primer on Bayesian model-averaged
meta-analysis. Adv Methods Pract Psychol Sci 4(3). doi:10.1177/25152459211031256
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import readonly, strictly_between
from bayesmeta.errors import PriorError, told
from bayesmeta.fitting import fit as make_fit
from bayesmeta.model import Model
from bayesmeta.priors import Fixed
from bayesmeta.problem import check_posable
from bayesmeta.regression.average import Given
from bayesmeta.regression.nodes import SharedNodes, at_one_tau
from bayesmeta.regression.odds import log_prior_odds
from bayesmeta.regression.selected import ModeratorSelection
from bayesmeta.regression.subsets import submodel, subsets_of
from bayesmeta.regression.tree import admitted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesmeta.arrays import Bools, Floats
    from bayesmeta.regression.odds import Inclusion
    from bayesmeta.regression.subsets import Subsets
    from bayesmeta.results.fit import Fit
    from bayesmeta.studies import Studies

LIMIT = 1e-9
"""Error of a log evidence above which a subset is fitted by itself."""


def moderator_selection(
    studies: Studies,
    terms: str | Sequence[str],
    model: Model | None = None,
    *,
    inclusion: Inclusion = 0.5,
    common: float = 0.0,
) -> ModeratorSelection:
    """Return the exact evidence of every subset of moderators, and what follows from it.

    Parameters
    ----------
    studies : Studies
        Effects with a table of moderators; every model is fitted to the same studies.
    terms : str or sequence of str
        Terms that may be in or out: ``"duration_months + C(exercise_type)"`` has two. In a list each item
        enters as a whole, so that ``"age + age^2"`` is one. An interaction is in only where the terms that it
        is made of, if they are listed, are in as well.
    model : Model, optional
        Priors, and the terms that every model has (`mods`). The priors of the coefficients must be Normal;
        that of the mean effect, which every model has, may be Flat.
    inclusion : float, str or mapping
        Prior probability that a term is in, for all terms or by term, or ``"BetaBinomial(a, b)"``.
    common : float
        Prior probability that tau is 0: fixed effects models beside those with random effects.

    Raises
    ------
    FormulaError, DataError
        If the terms cannot be estimated together, or a study has no value of one.
    ModelError
        If there are more than 15 terms, or the likelihood is not normal.
    PriorError
        If a prior is such that the evidence of two models cannot be compared.

    Notes
    -----
    With ``center=True``, the default of a model, the prior of mu is that of the mean effect at the means of
    the moderators in every model. No coefficient has a spike: a term that is out has a coefficient of 0, one
    that is in has the prior that it has in `bayesmeta.fit`, and the prior odds of the models are stated.

    Examples
    --------
    >>> from bayesmeta.studies import Studies
    >>> studies = Studies.from_effects([0.1, 0.3, 0.2, 0.5], sei=[0.1] * 4, data={"dose": [1, 2, 2, 4]})
    >>> model = Model(mu="Normal(0, 1)", beta="Normal(0, 0.5)", tau="HalfNormal(0.3)")
    >>> found = moderator_selection(studies, "dose", model)
    >>> [round(float(p), 3) for p in found.posterior]
    [0.501, 0.499]
    """
    base = Model() if model is None else model
    check_posable(studies, base)
    subsets = subsets_of(studies, terms, base)
    included = admitted(subsets.blocks)
    log_prior = log_prior_odds(included, [choice.name for choice in subsets.choices], inclusion)
    share = _share_common(common, subsets)
    random = _integrated(studies, base, subsets, included)
    parts = [(random, log_prior + np.log1p(-share))]
    parts += [(_at(subsets, 0.0), log_prior + np.log(share))] if share else []
    return ModeratorSelection(
        studies=studies,
        model=base,
        subsets=subsets,
        included=np.concatenate([included] * len(parts)),
        common=np.repeat(np.array([base.is_common, True][: len(parts)]), len(included)),
        prior=readonly(np.exp(np.concatenate([log_prior for _, log_prior in parts]))),
        log_evidence=readonly(np.concatenate([one.log_evidence for one, _ in parts])),
        error=readonly(np.concatenate([one.error for one, _ in parts])),
        given=tuple(given for one, _ in parts for given in one.given),
        shared=random.shared,
        alone=random.alone,
    )


class _Found(NamedTuple):
    """What is known of the subsets with one kind of tau."""

    log_evidence: Floats
    error: Floats
    given: list[Given]
    shared: SharedNodes | None = None
    alone: Mapping[int, Fit] = MappingProxyType({})


def _at(subsets: Subsets, tau: float) -> _Found:
    """Return the evidence of every subset where tau is known."""
    found = at_one_tau(subsets, tau)
    return _Found(found.log_evidence, found.error, [Given(found.tau, row) for row in found.weights])


def _integrated(studies: Studies, model: Model, subsets: Subsets, included: Bools) -> _Found:
    """Return the evidence of every subset, those that the shared nodes cannot settle fitted alone."""
    density = subsets.problem.priors.tau_density
    if isinstance(density, Fixed):
        return _at(subsets, density.value)
    shared = SharedNodes(subsets)
    found = shared.integrated()
    alone = {
        int(i): make_fit(studies, submodel(subsets, model, included[i].tolist()), engine="exact")
        for i in np.flatnonzero(~(found.error <= LIMIT))
    }
    log_evidence, error = found.log_evidence.copy(), found.error.copy()
    thinned = slice(None, None, 2)  # a rule of its own, from which the error is known
    given = [Given(found.tau[thinned], 2 * row[thinned]) for row in found.weights]
    for i, fit in alone.items():
        nodes = fit.posterior.nodes  # type: ignore[attr-defined]
        log_evidence[i], error[i] = nodes.log_evidence, nodes.error
        given[i] = Given(np.sqrt(nodes.tau2), nodes.weights)
    return _Found(log_evidence, error, given, shared, alone)


def _share_common(common: float, subsets: Subsets) -> float:
    """Return the prior probability that tau is 0."""
    density = subsets.problem.priors.tau_density
    if not (strictly_between(common, -1, 1) and common >= 0):
        raise PriorError(f"common must be a probability from 0 to less than 1; got {told(common)}")
    if common and isinstance(density, Fixed):
        raise PriorError(f"tau is {density.value:g} in every model; leave out common = {common:g}")
    if common and not density.proper:
        raise PriorError(
            f"the prior of tau must be proper where tau = 0 is compared with it; got {density}; use one such "
            "as HalfNormal or HalfCauchy"
        )
    return float(common)
