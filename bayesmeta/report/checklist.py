"""The twenty points of a Bayesian report: which this one has, which the authors give, which are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayesmeta.report.facts import Facts

DONE, AUTHORS, MISSING = "done", "to be given by the authors", "missing"


class Point(NamedTuple):
    """A point of the list."""

    number: int
    """Number, which is that of its place in the page."""
    title: str
    """What the point asks for."""
    done: str
    """What the report has."""
    authors: str = ""
    """What the authors must add."""
    missing: str = ""
    """What is absent."""

    @property
    def status(self) -> str:
        """The worst of what is said."""
        if self.missing:
            return MISSING
        return AUTHORS if self.authors else DONE


def checklist(facts: Facts, figures: Mapping[str, Any]) -> tuple[Point, ...]:
    """Return the points in order."""
    return (
        *_asked(facts),
        *_model(facts),
        *_found(facts, figures),
        *_checked(facts, figures),
        *_closing(facts),
    )


def _asked(facts: Facts) -> tuple[Point, ...]:
    difference = "" if known_difference(facts) else "minimal important difference"
    direction = "" if facts.better else "which direction is better"
    asked = [text for text in (direction, difference) if text]
    return (
        Point(1, "Why Bayesian, and the aim", "general reasons", "the aim of this review"),
        Point(2, "Question, outcome, measure, scale, direction", "measure and groups", " and ".join(asked)),
        Point(3, "Data: effects, variances, zero cells, exclusions", "study table, exclusions with reasons"),
    )


def known_difference(facts: Facts) -> bool:
    """Return whether a minimal important difference was given."""
    return facts.important is not None


def _model(facts: Facts) -> tuple[Point, ...]:
    from bayesmeta.report.checks import priors_in_force

    own = not all(default for _, _, default in priors_in_force(facts))
    return (
        Point(4, "Likelihood and hierarchical model", "in symbols and as code"),
        Point(
            5,
            "Priors: form, justification, what they imply",
            "exact form, quantiles, implied effects",
            "justification of the priors chosen" if own else "",
        ),
        Point(6, "Technique", "NUTS settings and seed" if facts.is_sampled else "exact integration"),
        Point(
            7,
            "Convergence of every reported quantity",
            "R̂, effective sample sizes, Monte Carlo errors" if facts.is_sampled else "nothing to converge",
        ),
    )


def _found(facts: Facts, figures: Mapping[str, Any]) -> tuple[Point, ...]:
    moderators = facts.document["regressions"] or facts.document["subgroups"] or not facts.pooled
    forest = any(name.startswith("forest") for name in figures)
    important = facts.pooled and not known_difference(facts)
    return (
        Point(
            8,
            "Mean effect",
            "median, interval, probability of benefit" if facts.pooled else "coefficients with intervals",
            "a minimal important difference, for its probability" if important else "",
        ),
        Point(
            9,
            "Heterogeneity",
            "none, by assumption" if facts.is_common else "τ, I² where defined, prediction interval",
        ),
        Point(
            10,
            "Forest plot",
            "figure and study table" if forest else "study table",
            "",
            "" if forest else "figure",
        ),
        Point(
            11,
            "Subgroups and meta-regression",
            "coding, probabilities, τ left over, k per group" if moderators else "none was planned",
        ),
    )


def _checked(facts: Facts, figures: Mapping[str, Any]) -> tuple[Point, ...]:
    left_out, priors = facts.document["leave_one_out"], facts.document["prior_sensitivity"]
    funnel = any(name.startswith("funnel") for name in figures)
    more = facts.document.get("robustness") or {}
    checked = _split(
        ("influence by leaving studies out", bool(left_out)),
        ("posterior predictive checks", bool(more.get("predictive_checks"))),
        ("leave-one-out prediction", bool(facts.document.get("loo"))),
    )
    varied = _split(
        ("table of alternatives", bool(priors)),
        ("prior atlas", bool(more.get("atlas"))),
        ("power-scaling", bool(more.get("informativeness"))),
    )
    if more.get("atlas"):
        varied = varied[0], varied[1].replace("table of alternatives", "").strip(", ")
    models = bool(more.get("small_study"))
    examined = _split(("funnel plot", funnel), ("tests and models of selection", models))
    return (
        Point(12, "Model checks", checked[0], "", checked[1]),
        Point(13, "Prior sensitivity", varied[0], "", varied[1]),
        Point(
            14,
            "Other sensitivity",
            "estimators" + (", leave-one-out" if left_out else ""),
            "",
            "" if left_out else "leave-one-out",
        ),
        Point(15, "Small-study effects", examined[0], "", examined[1]),
    )


def _split(*parts: tuple[str, bool]) -> tuple[str, str]:
    """Return what is there and what is missing, each as a list in words."""
    there = ", ".join(text for text, have in parts if have)
    return there, ", ".join(text for text, have in parts if not have)


def _closing(facts: Facts) -> tuple[Point, ...]:
    command = "command" if facts.details.get("command") else ""
    return (
        Point(
            16,
            "Decision rule or Bayes factor",
            "Bayes factors with their prior odds; no decision is claimed"
            if (facts.document.get("robustness") or {}).get("bayes_factors")
            else "no decision is claimed",
        ),
        Point(17, "Certainty of evidence", "", "a judgement such as GRADE"),
        Point(
            18, "Classical companion", "fixed effect and random effects, labelled", "", _no_classical(facts)
        ),
        Point(
            19,
            "Reproduction",
            "code, seed, versions, hashes" + (", command, time" if command else ""),
            "",
            "" if command else "command and time",
        ),
        Point(20, "Paragraphs to paste, references, limitations", "all three"),
    )


def _no_classical(facts: Facts) -> str:
    return "" if facts.classical else "no study has an estimate"
