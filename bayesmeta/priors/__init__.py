"""Priors: frozen distributions that print as they are written, with PyMC's names and parameters."""

from __future__ import annotations

from bayesmeta.priors.adaptive import (
    AdaptivePrior,
    BergerDeely,
    Conventional,
    DuMouchel,
    Jeffreys,
    OverallJeffreys,
    UniformI2,
    UniformShrinkage,
)
from bayesmeta.priors.composed import MixedPrior, Mixture, SpikeSlab, Truncated
from bayesmeta.priors.core import Prior
from bayesmeta.priors.density import Density
from bayesmeta.priors.elicitation import elicit
from bayesmeta.priors.location import Cauchy, Flat, Laplace, Normal, StudentT, Uniform
from bayesmeta.priors.predictive import MapPrior, map_prior
from bayesmeta.priors.published import Preset, preset, presets, unit_information
from bayesmeta.priors.scale import (
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    LogStudentT,
    Lomax,
    Weibull,
)
from bayesmeta.priors.square import Fixed, HalfFlat, OfSquare, Sqrt, of_square
from bayesmeta.priors.text import FAMILIES, as_prior, parse_prior

__all__ = [
    "FAMILIES",
    "AdaptivePrior",
    "BergerDeely",
    "Cauchy",
    "Conventional",
    "Density",
    "DuMouchel",
    "Exponential",
    "Fixed",
    "Flat",
    "Gamma",
    "HalfCauchy",
    "HalfFlat",
    "HalfNormal",
    "HalfStudentT",
    "InverseGamma",
    "Jeffreys",
    "Laplace",
    "LogNormal",
    "LogStudentT",
    "Lomax",
    "MapPrior",
    "MixedPrior",
    "Mixture",
    "Normal",
    "OfSquare",
    "OverallJeffreys",
    "Preset",
    "Prior",
    "SpikeSlab",
    "Sqrt",
    "StudentT",
    "Truncated",
    "Uniform",
    "UniformI2",
    "UniformShrinkage",
    "Weibull",
    "as_prior",
    "elicit",
    "map_prior",
    "of_square",
    "parse_prior",
    "preset",
    "presets",
    "unit_information",
]
