"""What the monitor costs beside the alternatives, and how good predictions are."""
