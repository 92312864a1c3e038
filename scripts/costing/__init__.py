"""What work costs: measured for one of it, and added up for a lot of it."""
