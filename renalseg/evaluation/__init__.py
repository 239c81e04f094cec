"""How well predictions match labels: the measures of KiTS, lesions, volumes, and their summary.

In the order of imports: `regions` (what is compared), `surface`, `overlap` and `lesions` (arrays),
`score` (one case), `pairs` and `read` (files), `bootstrap` and `summary` (all cases), `table`,
`store` and `plot` (what people see), `run`, and `command`.
"""
