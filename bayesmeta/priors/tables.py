"""Numbers of published priors, as their papers give them; `bayesmeta.priors.published` makes priors of them.

References
----------
Turner RM, Jackson D, Wei Y, Thompson SG, Higgins JPT (2015). Predictive distributions for between-study
heterogeneity and simple methods for their application in Bayesian meta-analysis. Stat Med 34:984-998.
doi:10.1002/sim.6381 (Table IV)
Rhodes KM, Turner RM, Higgins JPT (2015). Predictive distributions were developed for the extent of
heterogeneity in meta-analyses of continuous outcome data. J Clin Epidemiol 68:52-60.
doi:10.1016/j.jclinepi.2014.08.012 (Tables 3 and A.3.1)
Bartoš F, Gronau QF, Timmers B, Otte WM, Ly A, Wagenmakers EJ (2021). Bayesian model-averaged meta-analysis
in medicine. Stat Med 40:6743-6761. doi:10.1002/sim.9170
Bartoš F, Otte WM, Gronau QF, Timmers B, Ly A, Wagenmakers EJ (2023). Empirical prior distributions for
Bayesian meta-analyses of binary and time to event outcomes. arXiv:2306.11468.
doi:10.48550/arXiv.2306.11468
"""

from __future__ import annotations

TURNER = """
all-cause mortality                         | -3.95 1.34 | -4.18 1.41 | -4.17 1.55 | -2.92 1.02 | -3.50 1.26
obstetric outcomes                          | -3.52 1.74 | -3.75 1.79 | -3.74 1.91 | -2.49 1.50 | -3.08 1.68
cause-specific mortality or major morbidity | -3.71 1.74 | -3.95 1.79 | -3.93 1.91 | -2.68 1.51 | -3.27 1.68
resource use, hospital stay or process      | -2.34 1.74 | -2.58 1.79 | -2.56 1.91 | -1.31 1.50 | -1.90 1.68
surgical or device success or failure       | -2.14 1.74 | -2.37 1.79 | -2.36 1.91 | -1.11 1.50 | -1.69 1.68
withdrawals or drop-outs                    | -2.99 1.74 | -3.23 1.79 | -3.21 1.91 | -1.96 1.51 | -2.55 1.68
internal or external structure              | -2.71 1.74 | -2.94 1.79 | -2.93 1.92 | -1.67 1.51 | -2.26 1.68
general physical health                     | -2.29 1.53 | -2.53 1.58 | -2.51 1.72 | -1.26 1.25 | -1.85 1.46
adverse events                              | -1.87 1.52 | -2.10 1.58 | -2.10 1.71 | -0.84 1.24 | -1.43 1.45
infection or onset of new disease           | -2.49 1.52 | -2.73 1.58 | -2.71 1.71 | -1.46 1.24 | -2.05 1.45
signs or symptoms of a condition            | -2.06 1.51 | -2.29 1.58 | -2.28 1.71 | -1.03 1.24 | -1.61 1.45
pain                                        | -1.83 1.52 | -2.06 1.58 | -2.05 1.71 | -0.80 1.25 | -1.38 1.45
quality of life or functioning              | -2.54 1.54 | -2.78 1.60 | -2.77 1.73 | -1.51 1.27 | -2.10 1.47
mental health                               | -2.12 1.53 | -2.35 1.60 | -2.34 1.72 | -1.09 1.27 | -1.67 1.47
biological markers                          | -1.77 1.52 | -2.00 1.58 | -1.99 1.71 | -0.74 1.24 | -1.33 1.45
subjective outcomes                         | -2.70 1.52 | -2.93 1.58 | -2.92 1.71 | -1.67 1.25 | -2.26 1.45
"""
"""Outcome; for each comparison mean and standard deviation of log tau2, for log odds ratios."""
TURNER_ANY = (-2.56, 1.74)
"""The same for any outcome and comparison."""
TURNER_COMPARISONS = (
    "pharmacological vs placebo",
    "pharmacological vs pharmacological",
    "non-pharmacological vs placebo",
    "non-pharmacological vs pharmacological",
    "non-pharmacological vs non-pharmacological",
)

RHODES = """
obstetric outcomes                                     | -4.13 2.34 | -4.40 2.31 | -3.99 2.11
resource use, hospital stay or process                 | -2.55 2.73 | -2.83 2.70 | -2.41 2.57
internal or external structure                         | -2.43 2.50 | -2.70 2.46 | -2.29 2.32
physical health, adverse events, pain, quality of life | -3.16 2.50 | -3.44 2.44 | -3.02 2.27
signs or symptoms, infection or onset of new disease   | -3.00 2.50 | -3.27 2.47 | -2.86 2.33
mental health                                          | -2.99 2.16 | -3.27 2.14 | -
biological markers                                     | -3.41 2.83 | -3.68 2.78 | -3.27 2.66
subjective outcomes                                    | -2.76 2.58 | -3.03 2.59 | -2.62 2.41
"""
"""Outcome; for each comparison location and scale of log tau2, a t variable with 5 degrees of freedom, for
standardised mean differences outside respiratory diseases and cancer.

Non-pharmacological treatments and mental health are left out: the table is said to give a location of -3.85
there, but its rows differ by constants, to within 0.01, and those ask for -2.85.
"""
RHODES_RESPIRATORY = """
obstetric outcomes                                     | -6.03 2.36 | -6.31 2.31 | -5.89 2.21
resource use, hospital stay or process                 | -4.46 2.74 | -4.73 2.70 | -4.32 2.57
internal or external structure                         | -4.33 2.51 | -4.61 2.46 | -4.19 2.33
physical health, adverse events, pain, quality of life | -5.07 2.51 | -5.34 2.45 | -4.93 2.28
signs or symptoms, infection or onset of new disease   | -4.90 2.50 | -5.18 2.47 | -4.76 2.33
mental health                                          | -4.90 2.17 | -5.17 2.14 | -4.76 1.94
biological markers                                     | -5.31 2.83 | -5.59 2.78 | -5.17 2.66
subjective outcomes                                    | -4.66 2.59 | -4.94 2.59 | -4.52 2.41
"""
"""The same in respiratory diseases."""
RHODES_ANY = (-3.44, 2.59)
RHODES_COMPARISONS = (
    "pharmacological vs placebo",
    "pharmacological vs pharmacological",
    "non-pharmacological",
)

BARTOS_SMD = """
Acute Respiratory Infections                      | 0.38 5 | 1.73 0.46
Airways                                           | 0.38 6 | 2.02 0.28
Anaesthesia                                       | 0.55 4 | 1.62 0.64
Back and Neck                                     | 0.37 5 | 1.75 0.57
Bone, Joint and Muscle Trauma                     | 0.40 5 | 1.52 0.28
Colorectal                                        | 0.51 5 | 1.64 0.56
Common Mental Disorders                           | 0.55 5 | 1.62 0.45
Consumers and Communication                       | 0.40 5 | 1.56 0.14
Cystic Fibrosis and Genetic Disorders             | 0.47 5 | 1.70 0.45
Dementia and Cognitive Improvement                | 0.45 5 | 1.71 0.44
Developmental, Psychosocial and Learning Problems | 0.18 5 | 1.43 0.12
Drugs and Alcohol                                 | 0.33 5 | 1.89 0.28
Effective Practice and Organisation of Care       | 0.39 5 | 1.71 0.35
Emergency and Critical Care                       | 0.39 5 | 1.62 0.29
ENT                                               | 0.43 5 | 1.85 0.48
Eyes and Vision                                   | 0.40 6 | 1.86 0.41
Gynaecological, Neuro-oncology and Orphan Cancer  | 0.45 5 | 1.67 0.46
Gynaecology and Fertility                         | 0.38 5 | 1.78 0.46
Heart                                             | 0.42 5 | 1.83 0.47
Hepato-Biliary                                    | 0.60 4 | 1.56 0.58
HIV/AIDS                                          | 0.43 5 | 1.73 0.44
Hypertension                                      | 0.48 3 | 2.01 0.38
Incontinence                                      | 0.33 6 | 1.64 0.36
Infectious Diseases                               | 0.59 2 | 1.28 0.44
Inflammatory Bowel Disease                        | 0.40 5 | 1.76 0.39
Injuries                                          | 0.35 5 | 1.80 0.34
Kidney and Transplant                             | 0.54 5 | 1.72 0.53
Metabolic and Endocrine Disorders                 | 0.43 5 | 1.71 0.37
Methodology                                       | 0.49 5 | 1.72 0.51
Movement Disorders                                | 0.42 5 | 1.88 0.33
Musculoskeletal                                   | 0.45 6 | 1.87 0.38
Neonatal                                          | 0.42 5 | 1.68 0.38
Oral Health                                       | 0.51 5 | 1.79 0.28
Pain, Palliative and Supportive Care              | 0.43 5 | 1.69 0.42
Pregnancy and Childbirth                          | 0.33 5 | 1.86 0.32
Public Health                                     | 0.33 5 | 1.76 0.23
Schizophrenia                                     | 0.29 4 | 1.60 0.27
Sexually Transmitted Infections                   | 0.42 5 | 1.70 0.59
Skin                                              | 0.48 5 | 1.64 0.51
Stroke                                            | 0.48 5 | 1.71 0.40
Tobacco Addiction                                 | 0.44 4 | 1.73 0.42
Upper GI and Pancreatic Diseases                  | 0.45 5 | 1.76 0.38
Urology                                           | 0.44 5 | 1.73 0.45
Vascular                                          | 0.46 5 | 1.66 0.50
Work                                              | 0.42 5 | 1.76 0.39
Wounds                                            | 0.56 5 | 1.54 0.41
Cochrane                                          | 0.43 5 | 1.71 0.40
"""
"""Field; scale and degrees of freedom of the mean effect's t distribution about 0; shape and scale of tau's
inverse gamma distribution, for standardised mean differences."""
BARTOS_BINARY = """
Acute Respiratory Infections                      | 0.48 3 | 1.67 0.45 | 0.27 3 | 1.58 0.25
Airways                                           | 0.37 2 | 1.35 0.27 | 0.25 3 | 1.36 0.15
Anaesthesia                                       | 0.79 6 | 2.12 0.86 | 0.45 5 | 1.21 0.21
Back and Neck                                     | 0.62 4 | 1.84 0.68 | 0.34 3 | 1.52 0.22
Bone, Joint and Muscle Trauma                     | 0.44 2 | 1.01 0.36 | 0.26 2 | 0.97 0.14
Breast Cancer                                     | 0.39 3 | 1.59 0.48 | 0.21 3 | 1.49 0.24
Childhood Cancer                                  | 0.47 4 | -         | 0.28 3 | -
Colorectal                                        | 0.65 4 | 1.71 0.60 | 0.38 4 | 1.42 0.27
Common Mental Disorders                           | 0.54 4 | 1.63 0.45 | 0.29 3 | 1.43 0.20
Consumers and Communication                       | 0.48 4 | 2.37 0.86 | 0.13 2 | 1.48 0.14
Cystic Fibrosis and Genetic Disorders             | 0.40 3 | 1.82 0.58 | 0.21 2 | 1.71 0.24
Dementia and Cognitive Improvement                | 0.49 4 | 1.28 0.25 | 0.29 3 | 1.53 0.19
Developmental, Psychosocial and Learning Problems | 0.83 5 | 1.83 0.82 | 0.39 3 | 0.97 0.11
Drugs and Alcohol                                 | 0.44 4 | 1.59 0.42 | 0.22 4 | 1.58 0.20
Effective Practice and Organisation of Care       | 0.51 4 | 1.90 0.68 | 0.30 4 | 1.40 0.24
Emergency and Critical Care                       | 0.35 3 | 1.46 0.34 | 0.19 2 | 1.65 0.25
ENT                                               | 0.81 4 | 1.73 0.71 | 0.40 4 | 1.50 0.24
Epilepsy                                          | 0.88 6 | 1.71 0.43 | 0.58 5 | 1.74 0.27
Eyes and Vision                                   | 0.77 5 | 2.09 0.94 | 0.34 4 | 1.60 0.26
Fertility Regulation                              | 0.46 5 | 2.21 0.71 | 0.34 4 | 1.59 0.31
Gut                                               | 0.63 5 | 1.94 0.62 | 0.40 4 | 1.69 0.29
Gynaecological, Neuro-oncology and Orphan Cancer  | 0.53 4 | 1.80 0.56 | 0.35 4 | 1.43 0.25
Gynaecology and Fertility                         | 0.40 2 | 1.24 0.28 | 0.25 2 | 1.29 0.16
Haematology                                       | 0.57 4 | 2.91 0.66 | 0.31 3 | 1.22 0.11
Heart                                             | 0.20 2 | 1.64 0.29 | 0.17 3 | 1.96 0.24
Heart; Vascular                                   | 0.95 4 | 1.64 0.83 | 0.39 3 | 1.62 0.25
Hepato-Biliary                                    | 0.43 3 | 1.58 0.40 | 0.23 3 | 1.44 0.19
HIV/AIDS                                          | 0.32 4 | 1.76 0.36 | 0.21 3 | 1.66 0.23
Hypertension                                      | 0.28 5 | 1.25 0.10 | 0.25 4 | 1.48 0.11
Incontinence                                      | 0.75 3 | 2.07 1.09 | 0.39 3 | 1.53 0.33
Infectious Diseases                               | 0.66 3 | 2.08 0.86 | 0.41 3 | 1.30 0.27
Injuries                                          | 0.60 4 | 1.52 0.49 | 0.27 4 | 1.46 0.19
Kidney and Transplant                             | 0.53 4 | 1.68 0.44 | 0.35 4 | 1.51 0.23
Lung Cancer                                       | 0.61 5 | 2.04 0.68 | 0.38 4 | 1.49 0.26
Metabolic and Endocrine Disorders                 | 0.29 2 | 0.92 0.11 | 0.13 1 | 1.55 0.19
Methodology                                       | 0.60 5 | 2.04 0.50 | 0.27 5 | 1.74 0.23
Movement Disorders                                | 0.73 5 | 2.14 0.64 | 0.46 4 | 1.54 0.24
Multiple Sclerosis and Rare Diseases of the CNS   | 0.76 4 | 2.09 0.71 | 0.44 3 | 1.58 0.35
Musculoskeletal                                   | 0.59 4 | 1.76 0.59 | 0.33 3 | 1.54 0.31
Neonatal                                          | 0.29 3 | 1.80 0.42 | 0.18 3 | 1.89 0.30
Neuromuscular                                     | 0.70 5 | 1.74 0.49 | 0.41 4 | 1.44 0.15
Oral Health                                       | 1.13 4 | 1.85 0.70 | 0.55 4 | 1.50 0.37
Pain, Palliative and Supportive Care              | 1.00 7 | 1.50 0.40 | 0.59 5 | 1.98 0.39
Pregnancy and Childbirth                          | 0.38 2 | 1.73 0.47 | 0.24 2 | 1.40 0.21
Schizophrenia                                     | 0.58 4 | 1.92 0.69 | 0.33 3 | 1.47 0.26
Sexually Transmitted Infections                   | 0.61 2 | 1.72 0.47 | 0.39 3 | 1.43 0.21
Skin                                              | 0.81 2 | 1.64 0.49 | 0.41 1 | 1.49 0.23
Stroke                                            | 0.22 2 | 1.36 0.21 | 0.13 2 | 1.52 0.15
Tobacco Addiction                                 | 0.49 5 | 2.51 0.63 | 0.36 5 | 2.02 0.36
Urology                                           | 0.82 5 | 1.72 0.50 | 0.44 3 | 1.37 0.18
Vascular                                          | 0.68 5 | 1.70 0.45 | 0.43 5 | 1.26 0.19
Work                                              | 0.59 4 | 1.79 0.73 | 0.23 3 | 1.50 0.26
Wounds                                            | 0.60 4 | 2.16 0.86 | 0.37 4 | 1.63 0.38
Cochrane                                          | 0.58 4 | 1.77 0.55 | 0.32 3 | 1.51 0.23
"""
"""The same for log odds ratios, then for log risk ratios; childhood cancer has no prior of tau."""
BARTOS_HR = (0.13, 2.0, 2.42, 0.30)
"""The same for log hazard ratios, in all fields together."""
BARTOS_RD = (0.03, 1.0, 0.10)
"""For risk differences, in all fields together: scale and degrees of freedom of the mean effect, and the
scale of tau's half-normal distribution."""


def rows(table: str) -> dict[str, list[tuple[float, ...]]]:
    """Return the cells of each row of a table, by its first word; empty cells for those left out."""
    found = {}
    for line in table.strip().splitlines():
        name, *cells = (cell.strip() for cell in line.split("|"))
        found[name] = [() if cell == "-" else tuple(map(float, cell.split())) for cell in cells]
    return found
