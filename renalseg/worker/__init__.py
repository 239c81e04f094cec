"""A worker that segments arrivals in an Orthanc server and stores the results there.

Orthanc (https://www.orthanc-server.com) is the DICOM listener. `feed` reads its log of changes and
makes jobs of the series that a rule takes, `jobs` keeps them in a database, `work` does one: fetch,
run the application as a process of its own, store. `loop` runs all that until it is told to stop.
"""
