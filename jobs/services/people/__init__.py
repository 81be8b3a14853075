"""Access: API keys, passwords, and what a new installation starts with."""
