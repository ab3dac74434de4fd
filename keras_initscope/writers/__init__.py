"""Where snapshots go: one file an output.

Owns formats. Computes no statistic.
"""

from keras_initscope.writers.depth import DepthWriter
from keras_initscope.writers.jsonlines import JSONLinesWriter, read_jsonlines
from keras_initscope.writers.layer_scalars import LayerScalarsWriter
from keras_initscope.writers.report import pictures_of, save_report, write_report
from keras_initscope.writers.tensorboard import TensorBoardWriter

__all__ = [
    "DepthWriter",
    "JSONLinesWriter",
    "LayerScalarsWriter",
    "TensorBoardWriter",
    "pictures_of",
    "read_jsonlines",
    "save_report",
    "write_report",
]
