"""Measuring a model: where the taps are, what is computed at them, how it comes to the host.

Owns tap placement and its guards, the table of statistics, exponent-bucket histograms, packing and
the meter. Frameworks are spoken to in `backends/` alone. Knows no rule and no writer.
"""
