import matplotlib
import pytest


@pytest.fixture(autouse=True)
def headless():
    """Draw without a screen, and close every figure afterwards."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def no_overlap():
    """Check that no two of the given texts of a figure lie on each other."""

    def check(figure, texts):
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        clashes = [
            (one.get_text(), other.get_text())
            for index, one in enumerate(texts)
            for other in texts[index + 1 :]
            if one.get_text() and other.get_text()
            if one.get_window_extent().overlaps(other.get_window_extent())
        ]
        assert not clashes
        frame = figure.bbox
        assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)
        assert all(frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)

    return check
