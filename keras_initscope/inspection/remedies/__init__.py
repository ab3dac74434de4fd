"""Changes tried on copies of a model, to see which of them remove what is wrong with it.

Owns the candidates, the copy and the verdict. Never touches the user's model: what is offered has
been executed on a copy, word for word.
"""

from keras_initscope.inspection.remedies.copying import NoCopyError, copied, untouched
from keras_initscope.inspection.remedies.registry import REMEDIES, Candidate, Scene, remedy
from keras_initscope.inspection.remedies.trying import Trial, tried

__all__ = [
    "REMEDIES",
    "Candidate",
    "NoCopyError",
    "Scene",
    "Trial",
    "copied",
    "remedy",
    "tried",
    "untouched",
]
