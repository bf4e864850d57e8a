"""What checks and proofs write."""
