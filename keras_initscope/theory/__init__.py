"""What Gaussian signal theory says about a network, in NumPy and SciPy alone.

Owns expectations under a Gaussian, the nonlinearities as rows of data, their gains, variance and
correlation maps, fixed points and critical lines. Knows neither Keras nor any framework.
"""
