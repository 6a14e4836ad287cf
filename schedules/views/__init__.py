"""Pages that belong to no model."""
