"""An app of the shop that the pictures show."""
