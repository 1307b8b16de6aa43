"""Kinds of damage that a model or an exported artifact can suffer, and the test that each is found."""
