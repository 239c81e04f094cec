"""Follow-up of a patient: results are compared, and the later one is written anew for it."""
