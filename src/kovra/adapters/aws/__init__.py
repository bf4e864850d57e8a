"""AWS behind one door: boto3 in threads of its own, hidden from everybody else."""
