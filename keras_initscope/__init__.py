"""See whether a deep Keras network can train, start it right, and watch it while it trains."""

__version__ = "0.1.0"
