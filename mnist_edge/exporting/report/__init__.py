"""Reports on verified artifacts: for the terminal, as JUnit XML, and as one HTML page."""
