"""Location-scale models that the sampling process compiles: one for each number of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesmeta.engines.nuts.densities import AT, at_of, coefficients, location, location_shape, tau_of
from bayesmeta.engines.nuts.shapes import ROW, ScaleShape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.arrays import Floats

HEAD = len(ScaleShape._fields)


def build_scale(key: Mapping[str, Any], numbers: Floats) -> pm.Model:
    """Return the model of a location-scale plan; its one variable ``x`` holds the coordinates.

    Parameters
    ----------
    key : mapping
        `ScalePlan.key`: numbers of coefficients, taus and deltas.
    numbers : (n,) array
        `ScalePlan.numbers`.
    """
    p, T, q = (int(key[name]) for name in ("p", "taus", "deltas"))
    with pm.Model() as model:
        data = pm.Data("numbers", np.asarray(numbers, dtype=np.float64))
        x = pm.Flat("x", shape=p + T + q, initval=np.zeros(p + T + q))
        prior = ScaleShape(*(data[i] for i in range(HEAD)))
        by_coefficient, data_left = _rows(data[HEAD:], ROW + AT, p)
        by_delta, studies = _rows(data_left, q, ROW + 2)
        studies = studies.reshape((-1, 3 + p + T + q))
        y, v, residual = (studies[:, i] for i in range(3))
        at = at_of(by_coefficient[ROW:], studies[:, 3 : 3 + p], residual)
        taus = [pt.abs(tau_of(x[p + j], prior, name=f"prior_of_tau_{j}")) for j in range(T)]
        tau = studies[:, 3 + p : 3 + p + T] @ pt.stack(taus)
        if q:
            tau = tau * pt.exp(studies[:, 3 + p + T :] @ _deltas(x[p + T :], by_delta))
        total = v + tau * tau
        b = coefficients(x[:p], total, location_shape(by_coefficient[:ROW]), at)
        pm.Potential("effects", -0.5 * (pt.log(total) + (y - at.X @ b) ** 2 / total).sum())
    return model


def _rows(numbers: Any, n: int, width: int) -> tuple[Any, Any]:
    """Return the first n rows of some width, and the numbers after them."""
    return numbers[: n * width].reshape((n, width)), numbers[n * width :]


def _deltas(z: Any, rows: Any) -> Any:
    """Add the priors of the deltas and return them."""
    delta, density = location(rows[:, ROW] + rows[:, ROW + 1] * z, location_shape(rows[:, :ROW].T))
    pm.Potential("prior_of_deltas", density.sum())
    return delta
