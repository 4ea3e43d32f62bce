"""References of the methods, numbered in the order in which the text cites them."""

from __future__ import annotations

WORKS = {
    "roever2020": "Röver C (2020). Bayesian random-effects meta-analysis using the bayesmeta R package. J "
    "Stat "
    "Softw 93(6):1–51. doi:10.18637/jss.v093.i06",
    "roever2021": "Röver C, Bender R, Dias S, et al. (2021). On weakly informative prior distributions "
    "for the "
    "heterogeneity parameter in Bayesian random-effects meta-analysis. Res Synth Methods 12:448–474. "
    "doi:10.1002/jrsm.1475",
    "nuts": "Hoffman MD, Gelman A (2014). The No-U-Turn sampler: adaptively setting path lengths in "
    "Hamiltonian "
    "Monte Carlo. J Mach Learn Res 15:1593–1623.",
    "pymc": "Abril-Pla O, Andreani V, Carroll C, et al. (2023). PyMC: a modern and comprehensive "
    "probabilistic "
    "programming framework in Python. PeerJ Comput Sci 9:e1516. doi:10.7717/peerj-cs.1516",
    "rhat": "Vehtari A, Gelman A, Simpson D, Carpenter B, Bürkner PC (2021). Rank-normalization, folding, "
    "and "
    "localization: an improved R̂ for assessing convergence of MCMC. Bayesian Anal 16:667–718. "
    "doi:10.1214/20-BA1221",
    "DL": "DerSimonian R, Laird N (1986). Meta-analysis in clinical trials. Control Clin Trials 7:177–188. "
    "doi:10.1016/0197-2456(86)90046-2",
    "PM": "Paule RC, Mandel J (1982). Consensus values and weighting factors. J Res Natl Bur Stand "
    "87:377–385. "
    "doi:10.6028/jres.087.022",
    "REML": "Viechtbauer W (2005). Bias and efficiency of meta-analytic variance estimators in the "
    "random-effects "
    "model. J Educ Behav Stat 30:261–293. doi:10.3102/10769986030003261",
    "REML_HK": "Knapp G, Hartung J (2003). Improved tests for a random effects meta-regression with a single "
    "covariate. Stat Med 22:2693–2710. doi:10.1002/sim.1482",
    "location_scale": "Viechtbauer W, López-López JA (2022). Location-scale models for meta-analysis. Res "
    "Synth Methods 13:697–715. doi:10.1002/jrsm.1562",
    "qprofile": "Viechtbauer W (2007). Confidence intervals for the amount of heterogeneity in "
    "meta-analysis. Stat "
    "Med 26:37–52. doi:10.1002/sim.2514",
    "I2": "Higgins JPT, Thompson SG (2002). Quantifying heterogeneity in a meta-analysis. Stat Med "
    "21:1539–1558. "
    "doi:10.1002/sim.1186",
    "prediction": "Higgins JPT, Thompson SG, Spiegelhalter DJ (2009). A re-evaluation of random-effects "
    "meta-analysis. J R Stat Soc A 172:137–159. doi:10.1111/j.1467-985X.2008.00552.x",
    "MH": "Mantel N, Haenszel W (1959). Statistical aspects of the analysis of data from retrospective "
    "studies of "
    "disease. J Natl Cancer Inst 22:719–748. doi:10.1093/jnci/22.4.719",
    "Peto": "Yusuf S, Peto R, Lewis J, Collins R, Sleight P (1985). Beta blockade during and after "
    "myocardial "
    "infarction: an overview of the randomized trials. Prog Cardiovasc Dis 27:335–371. "
    "doi:10.1016/S0033-0620(85)80003-7",
    "robust": "Sung L, Hayden J, Greenberg ML, Koren G, Feldman BM, Tomlinson GA (2005). Seven items were "
    "identified "
    "for inclusion when reporting a Bayesian analysis of a clinical study. J Clin Epidemiol 58:261–268. "
    "doi:10.1016/j.jclinepi.2004.08.010",
    "barg": "Kruschke JK (2021). Bayesian analysis reporting guidelines. Nat Hum Behav 5:1282–1291. "
    "doi:10.1038/s41562-021-01177-7",
    "prisma": "Page MJ, McKenzie JE, Bossuyt PM, et al. (2021). The PRISMA 2020 statement: an updated "
    "guideline for "
    "reporting systematic reviews. BMJ 372:n71. doi:10.1136/bmj.n71",
}


class Citations:
    """Numbers for the works cited, given at first use."""

    def __init__(self) -> None:
        self.cited: list[str] = []

    def __call__(self, *names: str) -> str:
        """Return the numbers of works in brackets, such as ``[1, 2]``."""
        for name in names:
            if name not in self.cited:
                self.cited.append(name)
        return f"[{', '.join(str(self.cited.index(name) + 1) for name in names)}]"

    @property
    def works(self) -> tuple[str, ...]:
        """The works cited, in order."""
        return tuple(WORKS[name] for name in self.cited)
