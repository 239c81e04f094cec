"""How often the lesions of a tumor bundle are real: found in validation patients, and fitted.

`lesions` has the table of what a bundle finds, `fit` what it says, `command` the tool.
"""
