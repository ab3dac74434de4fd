"""What the monitor costs, measured side by side with the alternatives. Asserts nothing."""
