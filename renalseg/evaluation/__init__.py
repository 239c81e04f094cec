"""Scores of predictions against labels: the measures of KiTS, lesions, volumes, summaries.

In the order of imports: `overlap`, `surface` and `lesions` (arrays), `case_score` (one case),
`predictions`, `pairs` and `read` (files), `bootstrap`, `summary` and `compare` (all cases),
`terminal`, `score_files`, `plot`, `worst`, `comparison_plot` and `comparison_page` (output), and
`evaluate`.
"""
