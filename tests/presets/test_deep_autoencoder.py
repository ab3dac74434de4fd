"""hinton-2006: its baselines in small, and its whole protocol."""

import numpy as np
import pytest

from keras_initscope import presets
from keras_initscope.presets import deep_autoencoder as module

CLAIMS = presets.get("hinton-2006").expects


def test_components_are_the_best_linear_code():
    """Errors on the training images are the discarded variances, on the test images near them."""
    train, test = module.pixels(0)
    variances = np.linalg.eigvalsh(np.cov(train.T, ddof=0))[::-1]
    made = {"digits": (train, test)}
    for count in (0, 8):
        made["some"] = module.by_components(train, test, count)
        row = module._row("some", made)
        assert row["train_error"] == pytest.approx(variances[count:].sum(), rel=1e-4)
    assert row["test_error"] == pytest.approx(1.578, abs=5e-4)


def test_the_claims_tell_a_network_that_learns_from_one_that_does_not():
    """A table in which all networks give the mean image, and one in which all beat 8 components."""
    names = (module.UNROLLED, module.GREEDY, *module.NETWORKS)
    for error in (4.7, 1.0):
        rows = [{"network": name, "test_error": error} for name in names]
        rows += [{"network": module.MEAN, "test_error": 4.7}]
        rows += [{"network": module.PCA, "test_error": 1.5}]
        met = [claim.check(rows).met for claim in CLAIMS]
        assert met == (
            [True, True, False, False, False] if error > 4 else [False, False, True, True, True]
        )
