"""AUC and average precision of a histogram against scikit-learn on the rows, whatever their order in the bins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from summaries import ranking

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.sampled_from([0.0, 0.3, 0.6, 0.9])),
    min_size=1,
    max_size=30,
)


def histogram(rows):
    """Counts of each class by bin."""
    return [np.bincount([b for is_it, b, _ in rows if is_it is c], minlength=5) for c in (False, True)]


@settings(deadline=None)
@given(rows)
def test_figures_of_a_histogram_are_within_their_error(rows):
    """Five bins, any order and any ties inside them: the distance to scikit-learn's figure is at most the error."""
    truth, scores = [is_it for is_it, _, _ in rows], [b + inside for _, b, inside in rows]
    for ours, theirs in (
        (ranking.auc, metrics.roc_auc_score),
        (ranking.average_precision, metrics.average_precision_score),
    ):
        found = ours(*histogram(rows))
        if len(set(truth)) < 2:
            assert found is None
        else:
            assert abs(found[0] - theirs(truth, scores)) <= found[1] + 1e-12


@settings(deadline=None)
@given(rows)
def test_tied_rows_have_scikit_learns_figures(rows):
    """Where all rows of a bin share one score, both figures are scikit-learn's."""
    truth, scores = [is_it for is_it, _, _ in rows], [b for _, b, _ in rows]
    if len(set(truth)) == 2:
        auc, precision = ranking.auc(*histogram(rows)), ranking.average_precision(*histogram(rows))
        np.testing.assert_allclose(auc[0], metrics.roc_auc_score(truth, scores))
        np.testing.assert_allclose(precision[0], metrics.average_precision_score(truth, scores))


def test_one_class_to_a_bin_has_no_error():
    """A bin of one class hides nothing from the AUC."""
    assert ranking.auc(np.array([3, 0, 2]), np.array([0, 4, 0]))[1] == 0.0
