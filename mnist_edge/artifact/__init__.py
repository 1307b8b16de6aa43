"""What travels in an exported artifact or beside it: contract, test vectors, checksum, bundle, manifest."""
