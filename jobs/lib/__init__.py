"""Tools without decisions: they know no row, no service and no page."""
