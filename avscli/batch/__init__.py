"""Many files: what to do, who does it, and a record that survives anything."""
