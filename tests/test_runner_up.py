"""The lead over the nearest control, by hand."""

import numpy as np

from forensics.comparators.runner_up import leads


def test_a_lead_is_over_the_nearest_of_the_others() -> None:
    means = np.array([[5.0, 1.0, 4.0, 2.0]])  # the reference, then three controls
    assert np.allclose(leads(means), [[1.0, -3.0, 2.0, -2.0]]), "a control's lead leaves the reference out"


def test_a_named_common_teacher_takes_the_lead() -> None:
    taught_both = np.array([[0.06, 0.08, 0.0, 0.01]])
    mean_contrast = taught_both[0, 0] - taught_both[0, 1:].mean()
    assert mean_contrast > 0.0 > leads(taught_both)[0, 0]
