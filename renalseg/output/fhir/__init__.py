"""The structured report as resources of FHIR R4, in one file."""

SUFFIX = ".fhir.json"
