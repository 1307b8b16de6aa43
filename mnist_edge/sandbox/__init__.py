"""A child process with limits, for artifacts that carry code."""
