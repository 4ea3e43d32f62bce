"""Figures: each takes a `Fit`, an optional Axes and keywords, and returns the Axes.

Nothing is computed here that a table could not show. Importing this package does not import matplotlib, and
drawing leaves its settings and its pyplot state alone.
"""

from __future__ import annotations

from bayesmeta.plots.atlas_plot import prior_densities, prior_heatmap, prior_ribbon
from bayesmeta.plots.bubble_plot import bubble
from bayesmeta.plots.curve_plot import curve
from bayesmeta.plots.density_plot import density
from bayesmeta.plots.files import save, to_bytes
from bayesmeta.plots.forest_plot import forest
from bayesmeta.plots.funnel_plot import funnel
from bayesmeta.plots.gosh_plot import gosh
from bayesmeta.plots.influence_plot import cumulative, influence
from bayesmeta.plots.prior_plot import prior_predictive
from bayesmeta.plots.rows import forest_rows
from bayesmeta.plots.sensitivity_plots import leave_one_out, prior_sensitivity
from bayesmeta.plots.tipping_plot import tipping

__all__ = [
    "bubble",
    "cumulative",
    "curve",
    "density",
    "forest",
    "forest_rows",
    "funnel",
    "gosh",
    "influence",
    "leave_one_out",
    "prior_densities",
    "prior_heatmap",
    "prior_predictive",
    "prior_ribbon",
    "prior_sensitivity",
    "save",
    "tipping",
    "to_bytes",
]
