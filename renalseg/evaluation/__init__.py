"""Scores of predictions against labels: the measures of KiTS, lesions, volumes, summaries.

In the order of imports: `overlap`, `surface` and `lesions` (arrays), `case_score` (one case),
`pairs` (files), `bootstrap` and `summary` (all cases), `terminal`, `score_files` and `plot`
(output), and `evaluate`.
"""
