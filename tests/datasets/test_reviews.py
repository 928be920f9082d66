"""Reviews are read out of the archive they come in, or the error says where it is."""

import io
import tarfile

import numpy as np
import pytest

from sktrim.datasets import load_movie_reviews

TABLE = "movieReviewSnippets_GroundTruth.txt"
LINES = "1\t2.5\tA très good film.\n2\t-1.25\tNot\tgood.\n".encode()


def packed(name, content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def nested(content=LINES):
    inner = packed(f"folder/{TABLE}", content)
    return packed("package/hutto_ICWSM_2014.tar.gz", inner)


def test_archive_folder_and_table_are_the_same(tmp_path):
    archive = tmp_path / "vaderSentiment-3.3.2.tar.gz"
    archive.write_bytes(nested())
    table = tmp_path / "table" / TABLE
    table.parent.mkdir()
    table.write_bytes(LINES)
    for path in (archive, tmp_path, str(table), table.parent):
        reviews = load_movie_reviews(path)
        assert reviews.data == ["A très good film.", "Not\tgood."]
        np.testing.assert_array_equal(reviews.target, [2.5, -1.25])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (nested()[:200], "is damaged"),
        (b"no archive", "is damaged"),
        (packed("other.txt", b"x"), f"does not hold {TABLE}"),
        (nested(b"1\tgood\tA film.\n"), "Line 1 of .* is not a number, a rating"),
        (nested(LINES + b"3\t1.0"), "Line 3 of"),
        (nested("1\t1.0\tA très bad film.".encode("latin-1")), "between tabulators"),
        (nested(b""), "is empty"),
    ],
)
def test_damaged_files_say_how_to_get_whole_ones(tmp_path, content, match):
    path = tmp_path / "vaderSentiment-3.3.2.tar.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match) as caught:
        load_movie_reviews(path)
    assert "pip download --no-deps" in str(caught.value)


def test_a_missing_file_says_how_to_get_it(tmp_path):
    for path in (tmp_path, tmp_path / "none.tar.gz"):
        with pytest.raises(FileNotFoundError, match="pip download --no-deps"):
            load_movie_reviews(path)
