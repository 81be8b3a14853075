"""A single job from creation to end, and how people and programs see it."""
