"""Coloured words say their sign without colour, as pictures and as pages."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sktrim import Explanation
from sktrim.inspection import TextDisplay


def texts_of(display):
    return [text.get_text() for text in display.ax_.texts]


def test_words_and_their_numbers_are_drawn():
    display = TextDisplay(
        [["not", "a", "<b>$5</b>"], ["fine"]],
        [[-2.0, 0.01, 1.0], [np.nan]],
        titles=["first", "second"],
    ).plot(title="Two texts")
    found = texts_of(display)
    assert found.count("-2") == 1
    assert "+1" in found
    assert "+0.01" not in found  # too faint to be told from 0
    assert r"<b>\$5</b>" in found
    assert "first:" in found
    assert display.limit() == 2
    assert len(display.ax_.patches) == 3
    plt.close(display.figure_)


def test_long_texts_are_broken_into_lines():
    words = ["word"] * 60
    display = TextDisplay([words], [np.linspace(-1, 1, 60)]).plot()
    rows = {round(text.get_position()[1], 2) for text in display.ax_.texts}
    assert len(rows) > 4
    xs = [text.get_position()[0] for text in display.ax_.texts]
    assert 0 < min(xs) < max(xs) < 84
    plt.close(display.figure_)


def test_a_page_holds_it_safely():
    page = TextDisplay([["<script>", "ok"]], [[1.0, np.nan]]).to_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'title="+1"' in page
    assert page.count("<div") == page.count("</div>") == 1
    assert page.count("<span") == page.count("</span>")
    assert TextDisplay([["a"]], [[0.0]])._repr_html_().startswith("<div")


@pytest.mark.parametrize(
    ("words", "scores", "options", "match"),
    [
        ([["a", "b"]], [[1.0]], {}, "Text 0 has 2 words and 1 scores"),
        ([["a"], ["b"]], [[1.0]], {}, "Text 1 has 1 words and 0 scores"),
        ([[]], [[]], {}, "There is no word to draw"),
        ([["a"]], [[1.0]], {"titles": ["x", "y"]}, "2 titles were given for 1 texts"),
    ],
)
def test_words_and_scores_that_do_not_fit(words, scores, options, match):
    with pytest.raises(ValueError, match=match):
        TextDisplay(words, scores, **options)


def test_an_explanation_colours_a_text_by_the_names_of_its_groups():
    explanation = Explanation([[1.0, -2.0], [3.0, 4.0]], ["good", "film"])
    display = explanation.plot.text("A GOOD film, good!", sample=0)
    np.testing.assert_array_equal(display.scores[0], [np.nan, 1, -2, np.nan, 1, np.nan])
    plt.close(display.figure_)
    tokens = explanation.plot.text(["", "movie"], sample=1)
    assert tokens.words == [["movie"]]
    assert tokens.scores[0].tolist() == [4]
    plt.close(tokens.figure_)
    with pytest.raises(ValueError, match="this picture is of one sample, not 2"):
        explanation.plot.text("good")
    with pytest.raises(ValueError, match="No word of 'bad' is the name of a group"):
        explanation.plot.text("bad", sample=0)
    with pytest.raises(ValueError, match="3 words were given for 2 groups"):
        explanation.plot.text(["a", "b", "c"], sample=0)
