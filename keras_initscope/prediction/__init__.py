"""What theory says of activations, layers and models before anything runs.

Owns predictions; measures nothing, and invents no number for what it does not know. What a rule for
a layer of your own needs is exported here: register it with `transfer`, build what it returns with
`scaled`, `shifted`, `activated`, `connected`, `summed`, `multiplied` or `state`, read weights with
`kernel_of`, ask for an inner layer with `apply`, and raise `UnpredictableError` where there is no
answer.
"""

from keras_initscope.prediction.combining import multiplied, summed
from keras_initscope.prediction.dense import connected
from keras_initscope.prediction.gains import criticality, gain
from keras_initscope.prediction.primitives import activated, scaled, shifted
from keras_initscope.prediction.signal import predict_signal
from keras_initscope.prediction.state import State, state
from keras_initscope.prediction.transfer import UnpredictableError, apply, kernel_of, transfer

__all__ = [
    "State",
    "UnpredictableError",
    "activated",
    "apply",
    "connected",
    "criticality",
    "gain",
    "kernel_of",
    "multiplied",
    "predict_signal",
    "scaled",
    "shifted",
    "state",
    "summed",
    "transfer",
]
