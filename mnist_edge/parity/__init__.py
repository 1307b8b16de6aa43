"""The judgement whether an artifact gives the trained model's answers. Names no format."""
