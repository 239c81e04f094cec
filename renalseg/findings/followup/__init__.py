"""Follow-up: what became of kidneys, tumors and cysts between two studies of a patient."""
