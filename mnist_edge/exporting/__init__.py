"""Checkpoint → artifacts with proof: the pipeline, the search for a scheme, what a file is, and reports."""
