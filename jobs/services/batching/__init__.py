"""Many inputs at once: reading items, making jobs of them, counting what became of them."""
