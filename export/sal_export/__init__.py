"""Export: a checkpoint becomes an artifact that the runtime can run, and is proved to compute the same."""
