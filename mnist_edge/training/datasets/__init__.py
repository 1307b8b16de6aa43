"""The data sets that can be trained on: one file and one entry in the registry for each."""
