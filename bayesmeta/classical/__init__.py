"""Classical meta-analysis: fixed and random effects, meta-regression, and pooling of counts.

Every estimate is the Gaussian profile of `bayesmeta.kernel` at one tau^2: at 0, at a closed form, at its
maximum, or at a root of Cochran's Q. The layer on plain arrays is in the modules `problem`, `heterogeneity`
and `pooling`; the layer on `Studies` is `classical` and its relatives.
"""

from __future__ import annotations

import sys
from types import ModuleType

from bayesmeta.classical.analysis import LeftOut, classical, classical_suite, leave_one_out
from bayesmeta.classical.collinearity import VarianceInflation, variance_inflation
from bayesmeta.classical.counts import ChiSquared, cochran_mantel_haenszel, mantel_haenszel, peto
from bayesmeta.classical.permutation import PermutationTest, permutation_test
from bayesmeta.classical.pooling import METHODS, TESTS, Prediction, predict
from bayesmeta.classical.result import Classical
from bayesmeta.classical.spread import Spread
from bayesmeta.classical.subgroups import SubgroupDifference, split_studies, subgroup_difference

__all__ = [
    "METHODS",
    "TESTS",
    "ChiSquared",
    "Classical",
    "LeftOut",
    "PermutationTest",
    "Prediction",
    "Spread",
    "SubgroupDifference",
    "VarianceInflation",
    "classical",
    "classical_suite",
    "cochran_mantel_haenszel",
    "leave_one_out",
    "mantel_haenszel",
    "permutation_test",
    "peto",
    "predict",
    "split_studies",
    "subgroup_difference",
    "variance_inflation",
]


class _CallableModule(ModuleType):
    """The package, callable as its main function, because ``bayesmeta.classical(studies)`` is public.

    Importing a subpackage binds its name in the parent package, over the function of the same name.
    """

    __call__ = staticmethod(classical)


sys.modules[__name__].__class__ = _CallableModule
