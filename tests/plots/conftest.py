import numpy as np
import pytest

from bayesmeta.datasets import load_dataset
from bayesmeta.fitting import fit
from bayesmeta.model import Model
from bayesmeta.problem import pose
from bayesmeta.results.draws import Draws
from bayesmeta.results.fit import Fit
from bayesmeta.results.sampled import SampledPosterior
from bayesmeta.studies import Studies, effect_sizes

BMD_ARMS = {
    "m1i": "exercise_mean",
    "sd1i": "exercise_sd",
    "n1i": "exercise_n",
    "m2i": "control_mean",
    "sd2i": "control_sd",
    "n2i": "control_n",
}
TABLE = {"ai": "exercise_events", "n1i": "exercise_n", "ci": "control_events", "n2i": "control_n"}
BMD_MODEL = Model(mu="Normal(0, 1)", tau="HalfNormal(0.05)", beta="Normal(0, 1)")
WIDE = Model(mu="Normal(0, 2)", tau="HalfNormal(0.5)", beta="Normal(0, 1)")
GROUPS = {"group1": "exercise", "group2": "control"}


@pytest.fixture(scope="session")
def bmd_trials():
    return load_dataset("exercise_bmd")


@pytest.fixture(scope="session")
def bmd_studies(bmd_trials):
    return effect_sizes(bmd_trials, "MD", slab="study", units="g/cm2", better="higher", **GROUPS, **BMD_ARMS)


@pytest.fixture(scope="session")
def bmd(bmd_studies):
    return fit(bmd_studies, BMD_MODEL)


@pytest.fixture(scope="session")
def bmd_regression(bmd_studies):
    return fit(bmd_studies, BMD_MODEL.with_mods("duration_months + exercise_type"))


@pytest.fixture(scope="session")
def refracture_studies():
    trials = load_dataset("exercise_refracture")
    return effect_sizes(trials, "OR", slab="study", better="lower", drop00=True, **GROUPS, **TABLE)


@pytest.fixture(scope="session")
def refracture(refracture_studies):
    return fit(refracture_studies, WIDE)


@pytest.fixture(scope="session")
def sampled_counts(refracture_studies):
    """A binomial fit known by draws that were made up here: log odds ratio and tau near -1 and 0.4."""
    problem = pose(refracture_studies, Model(likelihood="binomial", mu="Normal(0, 2)", tau="HalfNormal(0.5)"))
    rng = np.random.default_rng(3)
    mu, tau = rng.normal(-1, 0.4, (2, 500)), np.abs(rng.normal(0, 0.5, (2, 500)))
    theta = mu[:, :, None] + tau[:, :, None] * rng.standard_normal((2, 500, 4))
    draws = Draws(
        beta=mu[:, :, None],
        tau=tau,
        theta=theta,
        theta_new=mu + tau * rng.standard_normal((2, 500)),
        baseline=np.zeros((2, 500, 4)),
        settings={"chains": 2, "draws": 500},
    )
    return Fit(refracture_studies, problem, SampledPosterior(problem, draws))


@pytest.fixture(scope="session")
def ready_made():
    """Return a function that fits effects given ready-made."""

    def make(yi, sei, model=WIDE, **options):
        return fit(Studies.from_effects(yi, sei=sei, **options), model)

    return make


@pytest.fixture(scope="session")
def texts():
    """Return a function that lists the texts on Axes."""

    def found(ax):
        return [text.get_text() for text in ax.texts]

    return found
