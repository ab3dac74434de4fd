"""One look at a model: what it does with a batch, beside what theory says it does.

Owns the look and the loading of what the command line looks at. Never changes the user's model.
"""

from keras_initscope.inspection.advice import advise
from keras_initscope.inspection.look import inspect
from keras_initscope.inspection.losses import has_loss
from keras_initscope.inspection.refusal import InspectionError

__all__ = ["InspectionError", "advise", "has_loss", "inspect"]
