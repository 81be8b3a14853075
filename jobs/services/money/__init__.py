"""What jobs cost, what may be spent, and what was counted. Decides nothing about a job's way."""
