"""Checkpoint → artefact + proof: exports to the runtimes' formats and the parity check that guards them."""
