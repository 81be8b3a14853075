"""Everything that decides, by subject. Each room imports only rooms below it (.importlinter)."""
