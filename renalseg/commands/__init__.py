"""The command line; each command imports its area only when it is called."""
