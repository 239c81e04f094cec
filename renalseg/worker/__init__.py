"""A worker that segments arrivals in an archive and stores the results there.

The archive is an Orthanc server (https://www.orthanc-server.com), or speaks DICOMweb: `server` says
what is needed of it. A feed makes jobs of the series that a rule accepts, `jobs` keeps them in a
database, and `work` does one: fetch, run the application in a separate process, store. `loop` runs
all of it until told to stop.
"""
