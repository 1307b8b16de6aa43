"""The networks that can be trained: one file and one entry in the registry for each."""
