"""What jobs cost, what may be spent, and totals. Does not decide what a job does."""
