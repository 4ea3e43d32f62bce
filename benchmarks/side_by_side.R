# The same work in R: bayesmeta and metafor, beside benchmarks/exact.py. Needs R with bayesmeta, metafor and jsonlite.
# Run as: Rscript benchmarks/side_by_side.R    (writes median elapsed milliseconds of each row)

suppressPackageStartupMessages({
  library(metafor)
  have_bayesmeta <- requireNamespace("bayesmeta", quietly = TRUE)
})

trials <- read.csv(file.path("bayesmeta", "datasets", "exercise_bmd.csv"))
effects <- escalc("MD",
  m1i = exercise_mean, sd1i = exercise_sd, n1i = exercise_n,
  m2i = control_mean, sd2i = control_sd, n2i = control_n, data = trials
)

elapsed <- function(work, repeats) {
  times <- replicate(repeats, system.time(work())[["elapsed"]])
  1000 * median(times)
}

show <- function(name, value) cat(sprintf("%-60s %12.1f ms\n", name, value))

show("metafor rma, REML, k = 11", elapsed(function() rma(yi, vi, data = effects), 50))
show("metafor rma, REML with one moderator", elapsed(
  function() rma(yi, vi, mods = ~duration_months, data = effects), 50
))
show("metafor regtest, ranktest, trimfill", elapsed(function() {
  fit <- rma(yi, vi, data = effects)
  regtest(fit)
  ranktest(fit)
  trimfill(fit)
}, 20))

if (have_bayesmeta) {
  half_normal <- function(t) bayesmeta::dhalfnormal(t, scale = 0.05)
  show("bayesmeta, k = 11, mu ~ N(0, 1), tau ~ HN(0.05)", elapsed(function() {
    bayesmeta::bayesmeta(effects$yi, sqrt(effects$vi),
      mu.prior.mean = 0, mu.prior.sd = 1, tau.prior = half_normal
    )
  }, 3))
  show("the same for ten priors of tau", elapsed(function() {
    for (scale in 0.01 * 2^(0:9)) {
      bayesmeta::bayesmeta(effects$yi, sqrt(effects$vi),
        mu.prior.mean = 0, mu.prior.sd = 1,
        tau.prior = function(t) bayesmeta::dhalfnormal(t, scale = scale)
      )
    }
  }, 1))
  show("bmr with one moderator", elapsed(function() {
    bayesmeta::bmr(effects$yi, sqrt(effects$vi),
      X = cbind(1, trials$duration_months), tau.prior = half_normal
    )
  }, 3))
} else {
  cat("bayesmeta is not installed; only metafor was timed\n")
}
