"""Measurements of what the project promises: each prints the measured ratio against its bar."""
