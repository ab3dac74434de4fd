"""What is often said of an activation, and is not so.

Owns the words, each with the number that the presets of `keras_initscope` show.
"""

#: Name of the activation to sentences.
CORRECTIONS: dict[str, tuple[str, ...]] = {
    "sigmoid": (
        "That Glorot's (Xavier's) variance serves a sigmoid: the squared gradient comes through a "
        "layer with a factor of .056, through five with less than a millionth.",
        "That its outputs have mean zero: they have mean one half, which conditions a layer of 100 "
        "inputs 577 times worse than a zero mean does.",
    ),
    "tanh": (
        "That weights must have variance 1: with N(0, 1) and 50 inputs nine in ten units sit where "
        "tanh is flat. n Var w must be 1, n being the number of inputs.",
    ),
    "relu": (
        "That a ReLU does not care whether the variance is 1 or 100: its output, the loss and the "
        "learning rate that fits scale with it.",
        "That Glorot's variance will do: the mean squares of signal and gradient halve at each "
        "layer.",
    ),
    "leaky_relu": (
        "That a slope of .01 cures the one-signed gradients of ReLU: it hardly changes them; ELU "
        "and SELU do.",
    ),
    "rrelu": (
        "That slopes from U(0, 1) are as good as any: the network hardly trains with them; the "
        "paper's are U(1/8, 1/3).",
    ),
}
