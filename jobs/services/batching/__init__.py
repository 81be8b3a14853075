"""Many inputs at once: reading items, making jobs of them, counting their results."""
