"""Image folders, and how training reads them."""
