"""Logistic regression finds what scikit-learn finds."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ufgraphfr.audit.attacks.imia import fit_logistic


@pytest.mark.parametrize("spread", [0.5, 8.0])
def test_weights_are_those_of_scikit_learn(spread):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 3, generator=generator, dtype=torch.float64)
    truth = torch.tensor([spread, -spread, 0.0], dtype=torch.float64)
    labels = (torch.rand(300, generator=generator) < torch.sigmoid(x @ truth - 1)).double()
    # their penalty is on the sum of losses
    oracle = LogisticRegression(C=1 / (1e-3 * 300), tol=1e-10, max_iter=1000)
    oracle.fit(x.numpy(), labels.numpy())
    expected = np.append(oracle.coef_[0], oracle.intercept_)
    np.testing.assert_allclose(fit_logistic(x, labels).numpy(), expected, atol=2e-3, rtol=1e-3)


def test_separable_classes_stay_finite():
    x = torch.tensor([[-1.0], [-2.0], [1.0], [3.0]], dtype=torch.float64)
    weights = fit_logistic(x, torch.tensor([0.0, 0, 1, 1], dtype=torch.float64))
    assert bool(weights.isfinite().all())
    assert bool(((x[:, 0] * weights[0] + weights[1] > 0) == (x[:, 0] > 0)).all())
