"""Archives that speak DICOMweb (PS3.18): `client` talks to one, `feed` polls it for what is new."""
