"""From masks to objects: regions get names, and names and places make tracks."""
