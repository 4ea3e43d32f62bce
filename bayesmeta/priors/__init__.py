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
from bayesmeta.priors.core import Prior
from bayesmeta.priors.location import Cauchy, Flat, Laplace, Normal, StudentT, Uniform
from bayesmeta.priors.scale import (
    Exponential,
    Fixed,
    Gamma,
    HalfCauchy,
    HalfFlat,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Lomax,
    OfSquare,
    Sqrt,
    Weibull,
)
from bayesmeta.priors.text import FAMILIES, as_prior, parse_prior

__all__ = [
    "FAMILIES",
    "AdaptivePrior",
    "BergerDeely",
    "Cauchy",
    "Conventional",
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
    "Lomax",
    "Normal",
    "OfSquare",
    "OverallJeffreys",
    "Prior",
    "Sqrt",
    "StudentT",
    "Uniform",
    "UniformI2",
    "UniformShrinkage",
    "Weibull",
    "as_prior",
    "parse_prior",
]
