"""Is there an effect, is there heterogeneity? The four models that answer, and their average.

With and without an effect, with and without heterogeneity make four models. Their evidence is exact, so that
posterior probabilities, inclusion Bayes factors and averaged posteriors follow from stated prior odds.

References
----------
Gronau QF, Heck DW, Berkhout SW, et al (2021). A primer on Bayesian model-averaged meta-analysis. Adv Methods
Pract Psychol Sci 4(3). doi:10.1177/25152459211031256
Hoeting JA, Madigan D, Raftery AE, Volinsky CT (1999). Bayesian model averaging: a tutorial. Stat Sci
14:382-417. doi:10.1214/ss/1009212519
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayesmeta.arrays import strictly_between
from bayesmeta.engines.exact import integrate, why_not
from bayesmeta.errors import AnalysisError, ModelError, told
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.blend import blend, posterior_weights
from bayesmeta.results.exact import ExactPosterior
from bayesmeta.results.heterogeneity import PointMass
from bayesmeta.results.marginal import Marginal
from bayesmeta.results.mixture import NormalMixture
from bayesmeta.sensitivity.bayes_factors import require_evidence
from bayesmeta.sensitivity.nulls import with_coefficient, with_tau

if TYPE_CHECKING:
    import pandas as pd

    from bayesmeta.problem import Problem
    from bayesmeta.results.marginal import Distribution
    from bayesmeta.results.nodes import Nodes
    from bayesmeta.studies import Studies

QUANTITIES = ("mu", "tau", "theta_new")
GIVEN = ("all", "effect", "heterogeneity")


class AveragedModel(NamedTuple):
    """One of the four models."""

    effect: bool
    """Whether mu may differ from 0."""
    heterogeneity: bool
    """Whether tau may."""
    prior: float
    """Prior probability."""
    posterior: float
    """Posterior probability."""
    log_evidence: float
    """Log of the marginal likelihood."""


class Inclusion(NamedTuple):
    """Evidence for one component, averaged over the other."""

    component: str
    """``"effect"`` or ``"heterogeneity"``."""
    prior: float
    """Prior probability that it is there."""
    posterior: float
    """Posterior probability."""
    log_bf10: float
    """Log of the inclusion Bayes factor, for against without."""


@dataclass(frozen=True, eq=False)
class ModelAverage:
    """Four models of the same studies and their average.

    Made by `model_average`.

    Attributes
    ----------
    models : tuple of AveragedModel
        Without either, with an effect, with heterogeneity, with both.
    parts : tuple of (Distribution, Distribution, Distribution)
        Posteriors of mu, tau and the effect in a new study in each.
    """

    models: tuple[AveragedModel, ...]
    parts: tuple[tuple[Distribution, Distribution, Distribution], ...]

    def inclusion(self, component: str) -> Inclusion:
        """Return the evidence for an effect or for heterogeneity.

        Parameters
        ----------
        component : {"effect", "heterogeneity"}
            What may be there.
        """
        if component not in GIVEN[1:]:
            raise AnalysisError(f"component must be 'effect' or 'heterogeneity'; got '{component}'")
        there = np.array([getattr(one, component) for one in self.models])
        prior, log_evidence = np.array([(one.prior, one.log_evidence) for one in self.models]).T
        after = posterior_weights(log_evidence, prior)
        joint = np.log(prior) + log_evidence
        odds = np.logaddexp.reduce(joint[there]) - np.logaddexp.reduce(joint[~there])
        before = float(prior[there].sum())
        log_bf = float(odds - np.log(before / (1 - before)))
        return Inclusion(component, before, float(after[there].sum()), log_bf)

    def marginal(self, name: str, *, given: str = "all") -> Marginal:
        """Return the averaged posterior of one quantity.

        Parameters
        ----------
        name : {"mu", "tau", "theta_new"}
            Quantity.
        given : {"all", "effect", "heterogeneity"}
            Average all models, in some of which mu or tau is 0 with certainty, or only those that have the
            component.
        """
        if name not in QUANTITIES:
            raise AnalysisError(f"name must be 'mu', 'tau' or 'theta_new'; got '{name}'")
        if given not in GIVEN:
            raise AnalysisError(f"given must be 'all', 'effect' or 'heterogeneity'; got '{given}'")
        kept = [given == "all" or getattr(one, given) for one in self.models]
        weights = [one.posterior if keep else 0.0 for one, keep in zip(self.models, kept, strict=True)]
        parts = [part[QUANTITIES.index(name)] for part in self.parts]
        return Marginal(name, blend(parts, weights))

    def table(self) -> pd.DataFrame:
        """Return a row for each model: what it has, its prior and posterior probability and log evidence."""
        import pandas as pd

        return pd.DataFrame(self.models)


def model_average(
    studies: Studies, model: Model | None = None, *, effect: float = 0.5, heterogeneity: float = 0.5
) -> ModelAverage:
    """Return the models with and without an effect, with and without heterogeneity, and their average.

    Parameters
    ----------
    studies : Studies
        Studies.
    model : Model, optional
        Its priors of mu and tau are those of the models that have them; by default the default priors.
    effect, heterogeneity : float
        Prior probabilities, independent of each other.

    Raises
    ------
    AnalysisError
        If a prior probability is not between 0 and 1.
    ModelError
        If the model has moderators, no heterogeneity, or cannot be run by the exact engine.
    ImproperPosteriorError
        If a prior is improper, which leaves the evidence without a scale.

    Examples
    --------
    >>> import bayesmeta as bm
    >>> studies = bm.Studies.from_effects([0.1, 0.3, 0.2], sei=[0.1, 0.1, 0.2])
    >>> average = model_average(studies, bm.Model(mu="Normal(0, 1)", tau="HalfNormal(0.5)"))
    >>> round(average.inclusion("effect").posterior, 3)
    0.609
    """
    for name, value in (("effect", effect), ("heterogeneity", heterogeneity)):
        if not strictly_between(value, 0, 1):
            raise AnalysisError(f"{name} must be a probability between 0 and 1; got {told(value)}")
    problem = pose(studies, Model() if model is None else model)
    if not problem.is_pooled or problem.model.is_common:
        raise ModelError("model_average needs a model without moderators whose tau has a prior")
    require_evidence(problem)
    reason = why_not(problem)
    if reason:
        raise ModelError(f"model_average cannot average over {reason}; use a prior that is no mixture")
    return _averaged(problem, effect, heterogeneity)


def _averaged(problem: Problem, effect: float, heterogeneity: float) -> ModelAverage:
    """Return the average, from the nodes of each model."""
    found = []
    for there in ((False, False), (True, False), (False, True), (True, True)):
        prior = (effect if there[0] else 1 - effect) * (heterogeneity if there[1] else 1 - heterogeneity)
        posed = problem if there[1] else with_tau(problem, 0.0)
        posed = posed if there[0] else with_coefficient(posed, 0, 0.0)
        found.append((there, prior, posed, integrate(posed)))
    evidence = [nodes.log_evidence for *_, nodes in found]
    after = posterior_weights(evidence, [prior for _, prior, *_ in found])
    models = tuple(
        AveragedModel(*there, prior, float(weight), nodes.log_evidence)
        for (there, prior, _, nodes), weight in zip(found, after, strict=True)
    )
    return ModelAverage(models, tuple(_parts(posed, nodes, there[0]) for there, _, posed, nodes in found))


def _parts(problem: Problem, nodes: Nodes, effect: bool) -> tuple[Distribution, Distribution, Distribution]:
    """Return the posteriors of mu, tau and the effect in a new study."""
    if effect:
        posterior = ExactPosterior(problem, nodes)
        return posterior.coefficients, nodes.tau, posterior.at(np.ones((1, 1)), new_study=True)
    if isinstance(nodes.tau, PointMass):
        return PointMass(0.0), nodes.tau, PointMass(0.0)
    return PointMass(0.0), nodes.tau, _about_zero(nodes)


def _about_zero(nodes: Nodes) -> NormalMixture:
    """Return the distribution of an effect whose mean is 0."""
    tau = np.sqrt(nodes.tau2)[:, None]
    finer = nodes.finer
    check = None if finer is None else lambda: _about_zero(finer())
    return NormalMixture(nodes.weights, np.zeros_like(tau), tau, finer=check)
