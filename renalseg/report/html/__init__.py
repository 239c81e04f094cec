"""The result of a study as one HTML page that opens from disk: finding, measures, pictures, viewer.

The viewer is NiiVue, whose license is next to its file in `niivue/`.
"""
