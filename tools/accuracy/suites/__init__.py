"""Suites that accuracy is measured on: sets of labeled CTs, and what is counted on each.

`suite` says what a suite is, `chain` what is counted on whole CTs; `phases`, `real_ct`,
`synthetic` and `slices` are the suites. `tools.accuracy.measure` runs methods over them.
"""
