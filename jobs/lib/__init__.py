"""Tools without decisions: they know no rows, services or pages."""
