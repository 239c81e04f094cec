"""The result of a study as one HTML page that opens from disk: finding, measures, pictures, viewer.

The viewer is NiiVue, whose license lies beside its file in `niivue/`.
"""
