"""What is asked of a fit with moderators, as methods that `Fit` inherits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayesmeta.errors import require_flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from bayesmeta.results.posterior import Posterior
    from bayesmeta.results.tables import Row


class Moderated:
    """Contrasts, marginal means and curves of a fit."""

    posterior: Posterior
    predict: Callable[..., pd.DataFrame]

    def contrasts(
        self,
        by: str | Mapping[str, Mapping[str, float]],
        *,
        weights: str = "observed",
        prob: float = 0.95,
        kind: str = "eti",
    ) -> pd.DataFrame:
        """Return differences between the levels of a moderator, or combinations of coefficients.

        Parameters
        ----------
        by : str or mapping
            A moderator with levels, each of which is compared with each; or named combinations of
            coefficients, such as ``{"a year": {"duration_months": 12}}``.
        weights : {"observed", "equal"}
            What the difference is averaged over where it depends on other moderators, as in
            `marginal_means`.
        prob, kind : float, str
            As in `summary`.

        Returns
        -------
        DataFrame
            Rows such as ``vertebral - hip``; columns ``mode median mean sd lower upper`` and ``probability``,
            that of a value above 0.

        Raises
        ------
        AnalysisError
            If there is no such moderator, level or coefficient.
        """
        from bayesmeta.results.contrasts import contrast_rows

        return _frame(contrast_rows(self.posterior, by, weights=weights, prob=prob, kind=kind))

    def marginal_means(
        self, by: str, *, weights: str = "observed", prob: float = 0.95, kind: str = "eti"
    ) -> pd.DataFrame:
        """Return the mean effect at each level of a moderator.

        Parameters
        ----------
        by : str
            A moderator with levels.
        weights : {"observed", "equal"}
            Average over the other moderators as they are in the studies, or with numbers at their means and
            every combination of other levels counting the same.
        prob, kind : float, str
            As in `summary`.

        Returns
        -------
        DataFrame
            Rows are the levels, the reference first; columns ``k``, the number of studies, ``mode median mean
            sd lower upper`` of the mean effect and ``new_lower new_upper`` of the effect in a new study.

        Raises
        ------
        AnalysisError
            If there is no such moderator, or it has no levels.
        """
        from bayesmeta.results.contrasts import mean_rows

        rows = mean_rows(self.posterior, by, weights=weights, prob=prob, kind=kind)
        return _frame(rows).rename_axis(by)

    def curve(
        self,
        moderator: str,
        *,
        n: int = 50,
        at: Mapping[str, Any] | None = None,
        span: tuple[float, float] | None = None,
        prob: float = 0.95,
        kind: str = "eti",
    ) -> pd.DataFrame:
        """Return the mean effect and the effect in a new study along a moderator of numbers.

        Parameters
        ----------
        moderator : str
            What the curve runs over.
        n : int
            Number of points.
        at : mapping, optional
            Values of the other moderators; numbers are held at their means otherwise, categories at their
            reference level.
        span : (float, float), optional
            Ends of the curve; by default those of the studies.
        prob, kind : float, str
            As in `summary`.

        Returns
        -------
        DataFrame
            As `predict` returns it, doubts about extrapolation included.

        Raises
        ------
        AnalysisError
            If there is no such moderator, or it has levels.
        """
        from bayesmeta.results.contrasts import curve_values

        values = curve_values(self.posterior, moderator, n=n, at=at, span=span)
        return self.predict(values, prob=prob, kind=kind)

    def moderator_tests(
        self, *, permutations: bool = False, prob: float = 0.95, kind: str = "eti"
    ) -> pd.DataFrame:
        """Return what the moderators explain: classical tests of them all, and R2 as a posterior.

        Parameters
        ----------
        permutations : bool
            Add the permutation p-value of QM to the row ``REML``: up to 5,000 refits.
        prob, kind : float, str
            As in `summary`, for R2.

        Returns
        -------
        DataFrame
            Rows ``fixed DL PM REML REML_HK`` and the engine; columns ``QM QM_df QM_p`` (F for REML_HK), ``QE
            QE_df QE_p`` of what is left, ``tau2``, and ``R2 R2_lower R2_upper`` in percent. The classical R2
            compares two estimates of tau2; the posterior one is the share of the variance of true effects.

        Raises
        ------
        AnalysisError
            If there are no moderators.
        """
        import pandas as pd

        from bayesmeta.results.moderation import moderation_rows

        require_flag("permutations", permutations)
        classical = self.classical  # type: ignore[attr-defined]
        rows = moderation_rows(self.posterior, classical, prob=prob, kind=kind)
        if permutations:
            from bayesmeta.classical import permutation_test

            problem = self.posterior.problem
            rows["REML"]["QM_permuted"] = permutation_test(problem.studies, problem.model.mods).QM_p
        return pd.DataFrame.from_dict(rows, orient="index")

    def loo(self) -> pd.DataFrame:
        """Return how well each study is predicted from the others, exactly.

        Returns
        -------
        DataFrame
            A row for each study: ``elpd``, the log density of its effect given all other studies, and
            ``within``, given all studies. The sum of ``elpd`` compares models of the same studies;
            `bayesmeta.compare_models` does.

        Raises
        ------
        ModelError
            If the fit is from NUTS, for which ``arviz.loo(fit.tree)`` estimates the same.
        """
        import pandas as pd

        from bayesmeta.results.loo import leave_one_out_density

        found = leave_one_out_density(self.posterior)
        columns = {"elpd": found.pointwise, "within": found.within}
        return pd.DataFrame(columns, index=pd.Index(self.posterior.problem.studies.slab, name="slab"))


def _frame(rows: dict[str, Row]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_dict(rows, orient="index")
