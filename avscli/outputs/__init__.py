"""Everything that writes predictions down."""
