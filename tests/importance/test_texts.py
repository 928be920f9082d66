"""Raw texts: topics of several spaces in one call, and documents that are none."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import NMF, TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sktrim import (
    LatentDirichletAllocation,
    TransformImportance,
    transform_importance,
)

TEXTS = ["moon orbit moon", "gun law gun", "orbit probe", "law gun militia"] * 3


@pytest.fixture(scope="module")
def pipeline():
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)),
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
    )
    labels = np.tile([0, 1], 6)
    return make_pipeline(CountVectorizer(dtype=np.float32), net).fit(TEXTS, labels)


@pytest.mark.parametrize("scorer", ["cd", "integrated_gradients", "occlusion"])
@pytest.mark.filterwarnings("ignore::sktrim.exceptions.ReconstructionWarning")
@pytest.mark.filterwarnings("ignore::sktrim.exceptions.QuadratureWarning")
def test_topics_of_several_spaces_come_from_one_call(pipeline, scorer):
    counts = pipeline[:-1].transform(TEXTS)
    topics = LatentDirichletAllocation(2, random_state=0)
    spaces = [topics, NMF(2, random_state=0), TruncatedSVD(2, random_state=0)]
    spaces = [space.fit(counts) for space in spaces]
    together = transform_importance(
        pipeline, TEXTS, transformer=spaces, scorer=scorer, target=("label", 1)
    )
    for explanation, space in zip(together, spaces, strict=True):
        alone = transform_importance(
            pipeline, TEXTS, transformer=space, scorer=scorer, target=("label", 1)
        )
        np.testing.assert_allclose(explanation.values, alone.values, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sktrim.exceptions.ReconstructionWarning")
def test_an_empty_document_has_no_topics_and_leaves_the_others_alone(pipeline):
    topics = LatentDirichletAllocation(2, random_state=0)
    trim = TransformImportance(pipeline, topics, target=("label", 1)).fit(TEXTS)
    values = trim.transform(["moon gun", "", "unknown words"])
    np.testing.assert_array_equal(values[1:], 0)
    np.testing.assert_allclose(values[:1], trim.transform(["moon gun"]), rtol=1e-6)
    assert np.abs(values[0]).min() > 0


@pytest.mark.parametrize(
    ("document", "error", "match"),
    [
        (None, TypeError, "Document 1 is None, a NoneType; expected a string"),
        (float("nan"), TypeError, "Document 1 is nan, a float"),
        (["moon"], TypeError, "Document 1 is .*, a list"),
        ("Fußball".encode("latin-1"), ValueError, "Document 1 is not utf-8.*latin-1"),
    ],
)
def test_what_is_no_document_is_refused(pipeline, document, error, match):
    with pytest.raises(error, match=match):
        transform_importance(pipeline, ["moon", document])


def test_bytes_and_documents_that_an_analyzer_takes_are_left_to_it(pipeline):
    values = transform_importance(pipeline, [b"moon gun"]).values
    np.testing.assert_array_equal(
        values, transform_importance(pipeline, ["moon gun"]).values
    )
    own = CountVectorizer(analyzer=list, dtype=np.float32)
    own.vocabulary_ = pipeline[0].vocabulary_
    lists = make_pipeline(own, pipeline[-1])
    np.testing.assert_array_equal(
        values, transform_importance(lists, [["moon", "gun"]]).values
    )


def test_entries_that_a_sparse_matrix_holds_twice_are_added_up():
    twice = sp.csr_matrix(([1.0, 2.0, 4.0], [0, 0, 2], [0, 2, 3]), (2, 3))
    net = nn.Linear(3, 2)
    np.testing.assert_allclose(
        transform_importance(net, twice).values,
        transform_importance(net, twice.toarray()).values,
    )
    assert twice.nnz == 3
