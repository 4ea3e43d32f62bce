"""The posterior as the exact engine returns it: Gaussian given tau, on the nodes of tau."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesmeta.arrays import Floats
    from bayesmeta.results.heterogeneity import PointMass, TauDensity


class Nodes(NamedTuple):
    """Everything about m values of tau, in the user's coefficients."""

    tau: TauDensity | PointMass
    """Distribution of tau."""
    tau2: Floats
    """(m,) tau^2."""
    weights: Floats
    """(m,) posterior probabilities of the nodes."""
    beta: Floats
    """(m, p) mean of the coefficients given tau."""
    cov: Floats
    """(m, p, p) their covariance given tau."""
    log_evidence: float
    """Log of the marginal likelihood of the data."""
    error: float
    """Difference between the last two node sets."""
    origin: Floats
    """(p,) coefficients near the means."""
    deviation: Floats
    """(m, p) means less `origin`, without the digits that the difference loses."""
    finer: Callable[[], Nodes] | None = None
    """Returns the same on twice the panels, against which every answer is checked."""

    @property
    def variances(self) -> Floats:
        """(m, p) variances of the coefficients given tau."""
        return self.cov[:, 0] if self.cov.shape[1] == 1 else np.diagonal(self.cov, axis1=1, axis2=2)
