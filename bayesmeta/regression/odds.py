"""Prior probabilities of subsets of moderators.

References
----------
Ley E, Steel MFJ (2009). On the effect of prior assumptions in Bayesian model averaging with applications to
growth regression. J Appl Econometrics 24:651-674. doi:10.1002/jae.1057
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaln

from bayesmeta.arrays import strictly_between
from bayesmeta.errors import PriorError, printable, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayesmeta.arrays import Bools, Floats

NUMBER = r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*"
BETA_BINOMIAL = re.compile(rf"\s*BetaBinomial\({NUMBER},{NUMBER}\)\s*")

type Inclusion = float | str | Mapping[str, float]


def log_prior_odds(chosen: Bools, terms: Sequence[str], inclusion: Inclusion) -> Floats:
    """Return the (n,) logs of the prior probabilities of subsets, which sum to 1.

    Parameters
    ----------
    chosen : (n, T) array of bool
        Which of T terms each subset has.
    terms : sequence of str
        Names of the terms.
    inclusion : float, str or mapping
        Probability that a term is in, independently of the others, for all terms or by term; or
        ``"BetaBinomial(a, b)"``: that probability, common to all terms, has a beta distribution.

    Raises
    ------
    PriorError
        If a probability is not between 0 and 1, a term has none, or the text cannot be read.

    Notes
    -----
    Where interactions need their main effects, the subsets without them are left out and the probabilities
    of the others are divided by their sum.
    """
    if isinstance(inclusion, str):
        log_prior: Floats = _beta_binomial(chosen, inclusion)
    else:
        p = np.array([_probability(name, inclusion) for name in terms])
        log_prior = np.where(chosen, np.log(p), np.log1p(-p)).sum(axis=1)
    return np.asarray(log_prior - np.logaddexp.reduce(log_prior))


def _beta_binomial(chosen: Bools, text: str) -> Floats:
    match = BETA_BINOMIAL.fullmatch(text)
    a, b = map(float, match.groups()) if match else (0.0, 0.0)
    if a <= 0 or b <= 0:
        raise PriorError(
            f"inclusion must be a probability, one for each term, or 'BetaBinomial(1, 1)'; got "
            f"'{printable(text)}'"
        )
    size = chosen.sum(axis=1)
    return np.asarray(betaln(a + size, b + chosen.shape[1] - size) - betaln(a, b))


def _probability(name: str, inclusion: float | Mapping[str, float]) -> float:
    if isinstance(inclusion, Mapping) and name not in inclusion:
        raise PriorError(
            f"inclusion has no probability of the term '{printable(name)}'; give one for each term"
        )
    value = inclusion[name] if isinstance(inclusion, Mapping) else inclusion
    if not strictly_between(value, 0, 1):
        raise PriorError(f"the probability that a term is in must be between 0 and 1; got {told(value)}")
    return float(value)
