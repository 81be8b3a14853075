"""Who may come in: API keys, passwords, and what a new installation begins with."""
