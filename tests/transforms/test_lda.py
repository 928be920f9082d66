"""Topics as expected word counts: sums, the linear inverse, and names."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import LatentDirichletAllocation as HostTopics

from sktrim.groups import check_groups
from sktrim.transforms import LatentDirichletAllocation

WORDS = ["ball", "goal", "team", "vote", "law", "court"]


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    sport = rng.poisson([5, 4, 3, 0.1, 0.1, 0.1], size=(15, 6))
    politics = rng.poisson([0.1, 0.1, 0.1, 5, 4, 3], size=(15, 6))
    return np.concatenate([sport, politics]).astype(float)


@pytest.fixture
def topics(counts):
    return LatentDirichletAllocation(n_components=2, random_state=0).fit(counts)


def test_coefficients_are_document_length_times_topic_share(topics, counts):
    host = HostTopics(n_components=2, random_state=0).fit(counts)
    expected = host.transform(counts) * counts.sum(axis=1, keepdims=True)
    assert_allclose(topics.transform(counts), expected, rtol=1e-12)
    assert_allclose(topics.transform(counts).sum(axis=1), counts.sum(axis=1))


def test_inverse_keeps_the_number_of_words(topics, counts):
    words = topics.inverse_transform(topics.transform(counts))
    assert_allclose(words.sum(axis=1), counts.sum(axis=1))
    assert_allclose(topics.atoms_.sum(axis=1), 1)
    assert_allclose(topics.inverse_transform(np.eye(2)), topics.atoms_)


def test_inverse_comes_close_to_documents_of_one_topic(topics, counts):
    words = topics.inverse_transform(topics.transform(counts))
    before = ((counts - counts.mean(axis=0)) ** 2).sum()
    assert ((counts - words) ** 2).sum() < 0.5 * before


def test_sparse_dense_frame_and_list_agree(topics, counts):
    expected = topics.transform(counts)
    for given in (sp.csr_array(counts), sp.csr_matrix(counts), counts.tolist()):
        assert_allclose(topics.transform(given), expected, rtol=1e-9)
    frame = pd.DataFrame(counts, columns=WORDS)
    fitted = LatentDirichletAllocation(n_components=2, random_state=0).fit(frame)
    assert_allclose(fitted.transform(frame), expected, rtol=1e-9)


def test_empty_documents_give_zeros(topics, counts):
    for given in (np.zeros((2, 6)), sp.csr_array((2, 6))):
        assert_array_equal(topics.transform(given), np.zeros((2, 2)))
    counts[3] = 0
    refitted = topics.fit_transform(counts)
    assert_array_equal(refitted[3], [0, 0])
    assert np.isfinite(refitted).all()


def test_fit_transform_is_fit_then_transform(topics, counts):
    assert_array_equal(topics.fit_transform(counts), topics.transform(counts))


def test_partial_fit_moves_the_inverse(topics, counts):
    before = topics.atoms_
    topics.partial_fit(counts[:15])
    assert not np.allclose(topics.atoms_, before)
    assert_allclose(topics.inverse_transform(np.eye(2)), topics.atoms_)


def test_negative_counts_raise_the_hosts_error(topics, counts):
    with pytest.raises(ValueError, match="Negative values in data"):
        topics.transform(-counts)
    with pytest.raises(ValueError, match="Negative values in data"):
        topics.fit(-counts)


@pytest.mark.parametrize(
    "vocabulary", [WORDS, np.array(WORDS), {word: i for i, word in enumerate(WORDS)}]
)
def test_groups_are_named_by_their_top_words(topics, vocabulary):
    groups = topics.feature_groups(vocabulary=vocabulary, n_words=2)
    tops = [np.array(WORDS)[np.argsort(-row)[:2]] for row in topics.components_]
    assert groups.names == [f"topic{i}: {' '.join(t)}" for i, t in enumerate(tops)]
    assert {name.split(": ")[1] for name in groups.names} == {"ball goal", "vote law"}
    assert_array_equal(groups.toarray(), np.eye(2))


def test_words_come_from_the_frame_seen_in_fit(topics, counts):
    assert topics.feature_groups().names == ["topic0", "topic1"]
    named = topics.fit(pd.DataFrame(counts, columns=WORDS))
    names = check_groups("natural", named, 2).names
    assert sorted(name.split(": ")[1] for name in names) == [
        "ball goal team",
        "vote law court",
    ]


def test_vocabulary_of_the_wrong_size_is_refused(topics):
    with pytest.raises(ValueError, match="has 2 words, but the topics are over 6"):
        topics.feature_groups(vocabulary=["a", "b"])
