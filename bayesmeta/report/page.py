"""From a document and figures to the page: gather what the template sets, and let it set that."""

from __future__ import annotations

import base64
import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from bayesmeta.report import checks, prose, robustness, robustness_tables, studies_tables, tables
from bayesmeta.report.added import added
from bayesmeta.report.checklist import checklist
from bayesmeta.report.code import python_code
from bayesmeta.report.facts import Facts, sentence_case, without_folders
from bayesmeta.report.headline import headline, important_text, lead
from bayesmeta.report.numbers import decimals_for, known, level, number, p_value
from bayesmeta.report.predictive import implied_effect
from bayesmeta.report.references import Citations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

type Block = Mapping[str, Any]
type Figures = Mapping[str, tuple[str, bytes]]

INVISIBLE = frozenset({"Cc", "Cf", "Cs"})
PLACES = {
    "forest": "forest",
    "density_tau": "heterogeneity",
    "density": "effect",
    "bubble": "regressions",
    "regression": "regressions",
    "prior_atlas": "atlas",
    "prior_spaghetti": "atlas",
    "prior_sensitivity": "priors",
    "sensitivity": "priors",
    "leave_one_out": "left_out",
    "influence": "studies",
    "cumulative": "studies",
    "gosh": "studies",
    "tipping": "tipping",
    "funnel": "funnel",
}
"""Beginnings of the names of figures, and where those stand."""

CONTENTS = (
    ("question", "Question"),
    ("studies", "Studies"),
    ("effect", "Mean effect, and the classical answer"),
    ("heterogeneity", "Heterogeneity"),
    ("moderators", "Meta-regression and subgroups"),
    ("sensitivity", "Sensitivity"),
    ("small", "Small-study effects"),
    ("model", "Model and priors"),
    ("computation", "Computation and agreement"),
    ("checks", "Model checks"),
    ("decision", "Decision and certainty"),
    ("reproduction", "Reproduction"),
    ("text", "Text to paste, limitations, references"),
    ("checklist", "Checklist"),
)
"""Sections of the page."""


class Picture(NamedTuple):
    """A figure as the page shows it."""

    number: int
    """Number."""
    caption: str
    """Caption."""
    source: str
    """Data URI."""


def render(document: Block, figures: Figures | None = None, *, details: Block | None = None) -> str:
    """Return the report as one HTML page that loads nothing.

    Parameters
    ----------
    document : mapping
        Content of ``results.json``; NaN may stand where JSON has null.
    figures : mapping of str to (str, bytes), optional
        Caption and SVG of each figure, in the order of the page.
    details : mapping, optional
        What ``manifest.json`` has beyond the document: ``command``, ``created_at``, ``python``, ``system``,
        ``versions``, ``inputs``.

    Notes
    -----
    The page is a pure function of its arguments, so that a report can be made again from the folder of a run.
    Folders in commands, warnings and names of files are left out.
    """
    facts = Facts(document, details or {})
    content = _content(facts, figures or {})
    return _environment().get_template("report.html").render(**content)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("bayesmeta.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def shown(value: object) -> object:
    """Return what a template may print: text without invisible signs, or a whole number.

    Raises
    ------
    TypeError
        For anything else, which must be made text first.
    """
    if hasattr(value, "__html__"):
        return value
    if isinstance(value, str):
        return "".join(sign for sign in value if sign == "\n" or unicodedata.category(sign) not in INVISIBLE)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError(f"a template prints text and whole numbers; got {type(value).__name__}")


def _content(facts: Facts, figures: Figures) -> dict[str, Any]:
    cite = Citations()
    methods = prose.methods(facts, cite)
    return {
        "facts": facts,
        "document": facts.document,
        "title": facts.document["title"],
        "description": str(facts.document.get("description") or ""),
        "moment": moment(facts),
        "failures": _failures(facts),
        "warnings": [_warning(one) for one in _all_warnings(facts)],
        "headline": headline(facts),
        "lead": lead(facts),
        "intervals": prose.main_intervals(facts),
        "pictures": _pictures(figures),
        "tables": _tables(facts),
        "regressions": _regressions(facts),
        "subgroups": _subgroups(facts),
        "excluded": _excluded(facts),
        "important": important_text(facts) if facts.important is not None else "",
        "important_log": number(facts.important, 3) if facts.is_ratio and facts.important is not None else "",
        "added": added(facts),
        "implied": _implied(facts),
        "evidence": prose.evidence(facts),
        "atlas": robustness_tables.atlas_text(facts),
        "small_warnings": (robustness.robustness(facts).get("small_study") or {}).get("warnings") or [],
        "tipping": robustness_tables.tipping_text(facts),
        "outliers": studies_tables.outlier_text(facts),
        "subsets": studies_tables.subsets_text(facts),
        "moderators": studies_tables.moderators_text(facts),
        "prediction": robustness_tables.prediction_text(facts),
        "average": robustness.average_text(facts),
        "not_robust": robustness.reasons_text(facts),
        "technique": prose.technique(facts, cite),
        "accuracy": prose.accuracy(facts),
        "data_words": prose.data_words(facts),
        "heterogeneity_words": prose.heterogeneity_words(facts),
        "justification": prose.justification(facts, cite),
        "authors_priors": not all(default for _, _, default in checks.priors_in_force(facts)),
        "contents": CONTENTS,
        "code": python_code(facts),
        "methods": methods,
        "results": prose.results(facts),
        "limitations": prose.limitations(facts, figures),
        "references": cite.works,
        "points": checklist(facts, figures),
        "reproduction": _reproduction(facts),
    }


def _failures(facts: Facts) -> list[str]:
    return facts.failures or [without_folders(str(text)) for text in facts.get("failures", [])]


def _all_warnings(facts: Facts) -> list[tuple[str, str]]:
    own = [("", str(one["message"])) for one in facts.document["warnings"]]
    for name, one in facts.document["regressions"].items():
        own += [(f"Regression {name}", str(warning["message"])) for warning in one.get("warnings") or []]
    return [pair for pair in dict.fromkeys(own) if not pair[0] or ("", pair[1]) not in own]


def _warning(pair: tuple[str, str]) -> str:
    where, text = pair
    sentence = without_folders(text).rstrip(".")
    return f"{where}: {sentence}." if where else f"{sentence_case(sentence)}."


def _pictures(figures: Figures) -> dict[str, list[Picture]]:
    """Return the figures by the place where they stand."""
    order = ("forest", "effect", "heterogeneity", "regressions", *dict.fromkeys(PLACES.values()), "other")
    placed: dict[str, list[Picture]] = {name: [] for name in order}
    for name, (caption, svg) in figures.items():
        source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}"
        where = next((place for start, place in PLACES.items() if name.startswith(start)), "other")
        placed[where].append(Picture(0, caption, source))
    count = 0
    for place, pictures in placed.items():
        numbered = [one._replace(number=count + i) for i, one in enumerate(pictures, start=1)]
        placed[place] = numbered
        count += len(pictures)
    return placed


def _tables(facts: Facts) -> dict[str, tables.Table | None]:
    pooled = facts.pooled and bool(facts.document["classical"])
    return {
        "studies": tables.study_table(facts),
        "comparison": tables.comparison_table(facts) if pooled else None,
        "effect": tables.effect_table(facts) if facts.pooled else None,
        "coefficients": None if facts.pooled else _main_regression(facts),
        "heterogeneity": None if facts.is_common else tables.heterogeneity_table(facts),
        "left_out": checks.left_out_table(facts),
        "other_priors": checks.prior_table(facts),
        "priors": checks.priors_table(facts),
        "informativeness": robustness.informativeness_table(facts),
        "atlas": robustness_tables.atlas_table(facts),
        "tipping": robustness_tables.tipping_table(facts),
        "small_study": robustness_tables.small_study_table(facts),
        "influence": studies_tables.influence_table(facts),
        "cumulative": studies_tables.cumulative_table(facts),
        "inclusion": studies_tables.inclusion_table(facts),
        "averaged": studies_tables.averaged_table(facts),
        "models": robustness_tables.comparison_of_models(facts),
        "predictive": robustness.predictive_table(facts),
        "bayes_factors": robustness.bayes_factor_table(facts),
        "diagnostics": checks.diagnostics_table(facts),
        "convergence": checks.convergence_table(facts),
        "agreement": checks.agreement_table(facts),
        "worst": checks.worst_table(facts),
        "expected": checks.expected_table(facts),
        "also": checks.other_measures_table(facts),
        "inputs": checks.inputs_table(facts),
    }


def _main_regression(facts: Facts) -> tables.Table:
    regression = {
        "coefficients": {name: facts.posterior[name] for name in facts.document["coefficients"]},
        "classical": facts.classical,
        "positive": facts.get("positive", {}),
    }
    return tables.coefficient_table(facts, regression, "Main model")


def _regressions(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "mods": str(one["mods"]),
            "table": tables.coefficient_table(facts, one, f"Regression “{name}”"),
            "notes": _regression_notes(facts, one),
        }
        for name, one in facts.document["regressions"].items()
    ]


def _regression_notes(facts: Facts, one: Block) -> str:
    from bayesmeta.report.numbers import quantity

    text = f"{one['k']} studies, {one['p']} coefficients."
    if "tau" in one and not facts.is_common:
        text += f" τ left over: {quantity(one['tau']).text}."
    if str(one.get("scale") or "1").strip() != "1":
        text += f" τ depends on {one['scale']}; delta is the logarithm of a ratio of two τ."
    if one.get("R2"):
        r2 = quantity(one["R2"], 0)
        if known(one["R2"].get("median")):
            text += f" Share of τ² explained, R²: {r2.centre} % {r2.interval}."
    reml = one["classical"].get("REML_HK", {})
    if known(reml.get("QM_p")):
        text += f" Test of all moderators by REML with Knapp–Hartung: p = {p_value(reml['QM_p'])}."
    centred = "at the means of the moderators" if one.get("center") else "where all moderators are 0"
    return f"{text} The prior of μ is that of the effect {centred}.".replace("p = <", "p <")


def _subgroups(facts: Facts) -> list[dict[str, Any]]:
    return [
        {
            "by": by,
            "table": studies_tables.shared_table(facts, by, division)
            or tables.subgroup_table(facts, by, division),
            "differences": studies_tables.differences_table(facts, by, division),
            "notes": _difference(division),
        }
        for by, division in facts.document["subgroups"].items()
    ]


def _difference(division: Block) -> str:
    words = {"fixed": "fixed effect", "DL": "DerSimonian–Laird"}
    found = [
        f"{words.get(name, name)} Q = {number(one['Q'], 2)} on {number(one['df'], 0)} df, p = "
        f"{p_value(one['p'])}"
        for name, one in division["difference"].items()
        if known(one.get("Q")) and known(one.get("p"))
    ]
    if not found:
        return ""
    return f"Test for subgroup differences: {'; '.join(found)}.".replace("p = <", "p <")


def _excluded(facts: Facts) -> list[tuple[str, str]]:
    """Return studies and why they are left out: of everything, or of what needs an estimate."""
    present = {one["slab"] for one in facts.document["studies"]}
    return [
        (str(one["slab"]), without_folders(str(one["reason"])) + _where(one["slab"] in present))
        for one in facts.document["excluded"]
    ]


def _where(present: bool) -> str:
    return "; it takes part in the model of the counts, and in no classical answer" if present else ""


def _implied(facts: Facts) -> str:
    """Return what the priors say of the effect in a study before any data."""
    priors = facts.document["priors"]
    scale = priors.get("tau2") or priors.get("tau")
    if facts.is_common or scale is None or not facts.pooled:
        return ""
    bounds = implied_effect(priors["mu"]["prior"], scale["prior"], facts.prob, squared="tau2" in priors)
    if not all(known(value) for value in bounds):
        return (
            "Before any data, the priors do not say where the effect of a study lies: one of them is "
            "improper."
        )
    places = decimals_for((bounds[1] - bounds[0]) / 4)
    lower, upper = (number(value, places) for value in bounds)
    return (
        f"Before any data, they put the effect of a study ({facts.analysis_scale}) between {lower} and "
        f"{upper} "
        f"with {level(facts.prob)} probability."
    )


def moment(facts: Facts) -> str:
    """Return when the run was made, in UTC; nothing if that is not known."""
    text = str(facts.details.get("created_at") or "")
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*(\+00:00|Z)$", r"\1, \2 UTC", text)


def _reproduction(facts: Facts) -> list[tuple[str, str]]:
    versions = facts.get("versions") or {}
    details = facts.details
    found = [
        ("Command", without_folders(str(details.get("command") or ""))),
        ("Time", moment(facts)),
        ("Seed", str(facts.get("seed", ""))),
        ("Engine", facts.engine),
        ("Versions", ", ".join(f"{name} {text}" for name, text in versions.items())),
        ("Python", " on ".join(str(details[name]) for name in ("python", "system") if details.get(name))),
    ]
    return [(name, text) for name, text in found if text]
