"""Bytes given by users and made by workers: where they lie, how they come and go. Knows no job's way."""
