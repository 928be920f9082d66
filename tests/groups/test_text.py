"""Words, phrases and sentences over the tokens of any tokenizer."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.feature_extraction.text import CountVectorizer
from torch import nn

from sktrim import TransformImportance
from sktrim.groups import tokenize_texts

TEXTS = ["It's not very good. Is it?", "A well-made film!", "Dull"]


class FastLike:
    """Speaks like a fast tokenizer: pieces of three letters between two markers."""

    is_fast = True

    def convert_ids_to_tokens(self, ids):
        return [str(i) for i in ids]

    def __call__(self, texts, return_offsets_mapping):
        assert return_offsets_mapping
        offsets = []
        for text in texts:
            spans = [(0, 0)]
            at = 0
            for word in text.split(" "):
                for start in range(0, len(word), 3):
                    spans.append((at + start, at + min(start + 3, len(word))))
                at += len(word) + 1
            offsets.append([*spans, (0, 0)])
        return {"offset_mapping": offsets}


def test_words_and_signs_by_default():
    tokenized = tokenize_texts(TEXTS)
    words = tokenized.words()
    assert words.names[0] == ["It's", "not", "very", "good", ".", "Is", "it", "?"]
    assert words.names[1] == ["A", "well-made", "film", "!"]
    assert words.labels.shape == (3, 8)
    assert words.labels[2].tolist() == [0, *[-1] * 7]
    sentences = tokenized.sentences()
    assert sentences.names == [["It's not very good.", "Is it?"], [TEXTS[1]], ["Dull"]]
    assert sentences.labels[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    sets = sentences.sets()
    assert sets.shape == (3, 2, 8)
    assert not sets[1, 1].any()
    np.testing.assert_array_equal(sets.sum(axis=1), words.labels >= 0)


def test_pieces_of_words_between_markers():
    tokenized = tokenize_texts(TEXTS, FastLike())
    words = tokenized.words()
    # It' s | not | ver y | goo d. | Is | it? : a piece belongs where it begins
    assert words.names[0] == ["It's", "not", "very", "good", "Is", "it"]
    assert words.labels[0].tolist() == [-1, 0, 0, 1, 2, 2, 3, 3, 4, 5, -1]
    assert tokenized.tokens().names[0][:3] == ["It'", "s", "not"]
    short = tokenize_texts(TEXTS, FastLike(), n_tokens=4)
    assert short.words().labels[0].tolist() == [-1, 0, 0, 1]
    assert short.words().names[0] == ["It's", "not"]


def test_padding_may_stand_before_a_text():
    right = tokenize_texts(TEXTS, n_tokens=6).words()
    left = tokenize_texts(TEXTS, n_tokens=6, padding="left").words()
    assert left.names == right.names
    # what is too long is cut at its end on either side
    assert left.labels[0].tolist() == right.labels[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert left.labels[1].tolist() == [-1, -1, 0, 1, 2, 3]
    assert left.labels[2].tolist() == [-1] * 5 + [0]
    with pytest.raises(ValueError, match="padding='both'; expected"):
        tokenize_texts(TEXTS, padding="both")


def test_tokenizers_of_other_kinds():
    class Rust:
        def token_to_id(self, token):
            return 0

        def encode(self, text):
            spans = [m.span() for m in __import__("re").finditer(r"\S+", text)]
            return type("Encoding", (), {"offsets": spans})()

    assert tokenize_texts(TEXTS, Rust()).words().names[2] == ["Dull"]
    analyzer = CountVectorizer().build_analyzer()
    words = tokenize_texts(["Not good, NOT bad"], analyzer).words()
    assert words.names == [["Not", "good", "NOT", "bad"]]
    plain = tokenize_texts(["so so", "a b c"], str.split)
    assert plain.words().labels.tolist() == [[0, 1, -1], [0, 1, 2]]


def test_phrases_and_ngrams():
    tokenized = tokenize_texts(TEXTS, FastLike())
    sets = tokenized.phrases(["not very good", "film"])
    assert np.flatnonzero(sets[0, 0]).tolist() == [3, 4, 5, 6, 7]
    assert not sets[0, 1].any()
    assert sets[1, 1].any()
    assert tokenized.ngrams(2)[0][1] == ("not very", [3, 4, 5])
    assert tokenized.ngrams(9)[2] == []
    # whole words alone
    with pytest.raises(ValueError, match="'fil' is in none of the 3 texts"):
        tokenized.phrases(["fil"])
    with pytest.raises(ValueError, match="n=0; expected an integer"):
        tokenized.ngrams(0)


@pytest.mark.parametrize(
    ("texts", "tokenizer", "error", "match"),
    [
        ("a text", None, TypeError, "texts is one string"),
        ([], None, ValueError, "There is no text"),
        (["good", "  "], None, ValueError, "Text 1 has no token: '  '"),
        (["good"], 3, TypeError, "tokenizer=3; expected"),
        (["good"], lambda text: ["bad"], ValueError, "'bad' is not found"),
    ],
)
def test_what_has_no_tokens_is_refused(texts, tokenizer, error, match):
    with pytest.raises(error, match=match):
        tokenize_texts(texts, tokenizer)


def test_slow_tokenizers_are_refused():
    slow = FastLike()
    slow.is_fast = False
    with pytest.raises(TypeError, match="tells no offsets"):
        tokenize_texts(["good"], slow)


class Reader(nn.Module):
    """Reads token ids by an LSTM."""

    def __init__(self, n_words=9):
        super().__init__()
        self.embedding = nn.Embedding(n_words, 4, padding_idx=0)
        self.lstm = nn.LSTM(4, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, ids):
        return self.head(self.lstm(self.embedding(ids))[0][:, -1])


@pytest.mark.parametrize("scorer", ["cd", "occlusion", "integrated_gradients"])
def test_tokens_add_up_to_words_of_any_number_of_pieces(scorer):
    torch.manual_seed(0)
    net = Reader().double().eval()
    tokenized = tokenize_texts(TEXTS, FastLike())
    ids = np.random.default_rng(0).integers(1, 9, (3, tokenized.n_tokens))
    trim = TransformImportance(
        net, None, scorer, layer="embedding", groups="positions", target=1
    ).fit(ids)
    assert trim.groups_.names[:2] == ["position0", "position1"]
    words = tokenized.words()
    found = trim.explain_sets(ids, words.sets())
    for i in range(3):
        for k in range(len(words.names[i])):
            own = words.labels[i] == k
            masks = [np.repeat(own, 4), np.repeat(~own, 4)]
            alone = TransformImportance(
                net, None, scorer, layer="embedding", groups=masks, target=1
            ).fit(ids)
            expected = alone.explain(ids[[i]]).values[0, 0]
            assert_allclose(found[i, k], expected, atol=1e-10)


def test_positions_need_an_axis():
    X = np.ones((3, 4))
    with pytest.raises(ValueError, match="two axes or more, such as"):
        TransformImportance(nn.Linear(4, 1).double(), groups="positions").fit(X)
