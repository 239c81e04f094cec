"""A worker that segments arrivals in an Orthanc server and stores the results there.

Orthanc (https://www.orthanc-server.com) is the DICOM listener. `feed` reads its log of changes and
makes jobs of the series that a rule accepts, `jobs` keeps them in a database, and `work` does one:
fetch, run the application in a separate process, store. `loop` runs all of it until told to stop.
"""
