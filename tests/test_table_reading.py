"""Files become tables by one grammar, or an error says where, what and which option helps."""

import bz2
import datetime
import gzip
import io
import lzma
import sys
import zipfile

import numpy as np
import pytest
from _arrays import needs_modules

pandas = pytest.importorskip("pandas", reason="the package pandas is not installed")

from fastbp import cli  # noqa: E402
from fastbp.table import TableError, place, read, reading  # noqa: E402


@pytest.fixture(autouse=True, params=[0, 1 << 20], ids=["plain", "cell by cell"])
def large(request, monkeypatch):
    """Small texts are read by both ways: by pandas' parser where they are plain, and cell by cell."""
    monkeypatch.setattr(reading, "_LARGE", request.param)


def table(text, **options):
    return read(io.StringIO(text) if isinstance(text, str) else io.BytesIO(text), **options)


def refusal(text, **options):
    with pytest.raises(TableError) as caught:
        table(text, **options)
    assert "\n" not in str(caught.value) and "\n" not in caught.value.in_shell()
    return caught.value


def column(*cells, **options):
    """Return the values of a column beside another one, and its dtype."""
    frame = table("k,x\n" + "".join(f"{k}.5,{cell}\n" for k, cell in enumerate(cells)), **options)
    return frame["x"].tolist(), str(frame["x"].dtype)


# ------------------------------------------------------------------------------------------ grammar


@pytest.mark.parametrize(
    ("cells", "values", "dtype"),
    [
        (("1", "-20", "+3", "0"), [1, -20, 3, 0], "int64"),
        (("9223372036854775807", "-9223372036854775808"), [2**63 - 1, -(2**63)], "int64"),
        (("9223372036854775808", "1"), [2.0**63, 1.0], "float64"),
        (("1.0", "2"), [1.0, 2.0], "float64"),
        ((".5", "5.", "1e3", "-1.5E-3", "1e+300"), [0.5, 5.0, 1e3, -1.5e-3, 1e300], "float64"),
        (('"1,234"', '"12,345,678"', "7"), [1234, 12345678, 7], "int64"),
        (('"1,234.5"', "7"), [1234.5, 7.0], "float64"),
        (("007", "7"), ["007", "7"], "object"),
        (("1_0", "10"), ["1_0", "10"], "object"),
        (("0x10", "1"), ["0x10", "1"], "object"),
        (("00.5", "1"), ["00.5", "1"], "object"),
        (("\u0661", "1"), ["\u0661", "1"], "object"),  # a digit, but not of ASCII
        (("1 2", "3"), ["1 2", "3"], "object"),
        (("true", "False", "TRUE"), [True, False, True], "bool"),
        (("true", "", "False"), [True, None, False], "object"),
        (("true", "1"), ["true", "1"], "object"),
        (("a", "NA", "b"), ["a", None, "b"], "object"),
        ((" a ", "\ta"), ["a", "a"], "object"),
        (("Nan", "Inf", "Ann"), ["Nan", "Inf", "Ann"], "object"),
        (("2023-24", "2011-12"), ["2023-24", "2011-12"], "object"),
        (("2023/24", "2011/12"), ["2023/24", "2011/12"], "object"),
        (("1/2/2020", "3/4/2020"), ["1/2/2020", "3/4/2020"], "object"),  # which is the day?
        (("13/2/2020", "2/13/2020"), ["13/2/2020", "2/13/2020"], "object"),
    ],
)
def test_what_cells_mean(cells, values, dtype):
    assert column(*cells) == (values, dtype)


def test_gaps_make_floats():
    values, dtype = column("1", "NA", "3")
    assert dtype == "float64" and np.isnan(values[1]) and values[::2] == [1.0, 3.0]
    values, dtype = column("", "NA", "?")
    assert dtype == "float64" and np.isnan(values).all()


@pytest.mark.parametrize(
    "cell", ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "NULL", "null", "None", "?", " NA ", '" "']
)
def test_missing_values(cell):
    assert column("a", cell, "b") == (["a", None, "b"], "object")
    assert np.isnan(column("1", cell, "2")[0][1])


def test_missing_values_of_the_user():
    assert column("a", "-999", "b", missing="-999")[0] == ["a", None, "b"]
    assert np.isnan(column("1", "-999", "b", missing=["-999", " b "])[0][1:]).all()
    assert column("1", "-999.0", missing="-999")[0] == [1.0, -999.0]  # text that differs is different


def test_numbers_are_the_nearest():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200) * 10.0 ** rng.integers(-300, 300, 200)
    found = np.array(column(*map(repr, values.tolist()))[0])
    np.testing.assert_array_equal(found.view(np.int64), values.view(np.int64))


@pytest.mark.parametrize(
    ("cells", "dates"),
    [
        (("2024-01-31", "1999-12-01"), ["2024-01-31", "1999-12-01"]),
        (("2024/01/31", "NA"), ["2024-01-31", "NaT"]),
        (("1949-01", "1949-02"), ["1949-01-01", "1949-02-01"]),
        (("2024-01-31 10:20", "2024-01-31T10:20:30.123456789"), ["2024-01-31T10:20", "2024-01-31T10:20:30.123456"]),
        (("2024-01-31T10:00Z", "2024-01-31 10:00:00+05:30"), ["2024-01-31T10:00", "2024-01-31T04:30"]),
        (("2024-01-01T00:00-0100", "2024-01-01"), ["2024-01-01T01:00", "2024-01-01"]),
        (("31.12.2020", "1.2.2020"), ["2020-12-31", "2020-02-01"]),
        (("1/31/2014 9:05 PM", "2/1/2014 12:05 am"), ["2014-01-31T21:05", "2014-02-01T00:05"]),
    ],
)
def test_dates(cells, dates):
    found = table("k,x\n" + "".join(f"{k}.5,{cell}\n" for k, cell in enumerate(cells)))["x"].to_numpy()
    assert found.dtype == "datetime64[us]"
    np.testing.assert_array_equal(found, np.array(dates, "datetime64[us]"))


def test_kinds_that_are_given():
    assert column("1/2/2020", columns={"x": "date:dmy"})[0][0].month == 2
    assert column("1/2/2020", columns={"x": "date:mdy"})[0][0].month == 1
    assert column("1/2/70", "1/2/68", columns={"x": "date:mdy"})[0][0].year == 1970
    assert column("1", "2.50", columns={"x": "text"}) == (["1", "2.50"], "object")
    assert column("yes", "0", "T", columns={"x": "boolean"}) == ([True, False, True], "bool")
    assert list(table("a,b,c\n1,2,3\n", columns={"b": "drop"}).columns) == ["a", "c"]
    assert "'b' is no number" in str(refusal("k,x\n1,b\n2,c\n", columns={"x": "number"}))
    assert "neither true nor false" in str(refusal("k,x\n1,true\n2,2\n", columns={"x": "boolean"}))
    assert "no date" in str(refusal("k,x\n1,2020-01-01\n2,soon\n", columns={"x": "date"}))
    assert refusal("k,x\n1,1/2/2020\n", columns={"x": "date"}).options == {"columns": {"x": "date:dmy"}}
    error = refusal("k,price\n1,2\n", columns={"prize": "text"})
    assert "no column 'prize'" in str(error) and "did you mean 'price'" in str(error)


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "Infinity", "+INF", "NAN"])
def test_numbers_that_are_not_finite(cell):
    error = refusal("a,price\n" + "1,2\n" * 3 + f"1,{cell}\n")
    assert "line 5, column 'price'" in str(error) and repr(cell) in str(error)
    assert error.options == {"missing": [cell]} and f"--missing {cell}" in error.in_shell()
    assert f"missing=[{cell!r}]" in str(error)
    assert np.isnan(table(f"a,price\n1,2\n1,{cell}\n", missing=cell)["price"][1])


def test_a_number_beyond_float64():
    assert "line 2, column 'x': '1e999' is beyond" in str(refusal("k,x\n1,1e999\n"))
    assert "beyond" in str(refusal("k,x\n1," + "9" * 5000 + "\n"))


def test_a_few_cells_that_are_no_numbers():
    error = refusal("a,b\n" + "1,2\n" * 9 + "1,-\n")
    assert "line 11, column 'b': '-' is no number, as 9 of the column's 10 cells are" in str(error)
    assert error.in_shell().endswith("--missing - counts it as missing, --columns b:text takes the column as text")
    assert table("a,b\n" + "1,2\n" * 8 + "1,-\n")["b"].dtype == object  # 8 of 9 are less than 90 %
    assert table("a,b\n" + "1,2\n" * 9 + "1,-\n", columns={"b": "text"})["b"].tolist() == ["2"] * 9 + ["-"]
    # some codes begin with zeros
    assert table("a,b\n" + "1,20\n" * 30 + "1,07\n")["b"].tolist() == ["20"] * 30 + ["07"]
    assert refusal("a;b\n" + "1.5;2\n" * 30 + "1.5;2'000\n").options == {"thousands": "'"}


def test_days_that_are_not():
    assert "line 3, column 'd': '2023-02-30' is no day" in str(refusal("d,e\n2023-02-01,1\n2023-02-30,1\n"))
    assert refusal("d,e\n0000-00-00,1\n2023-02-01,1\n").options == {"missing": ["0000-00-00"]}
    assert "'31/02/2020'" in str(refusal("d,e\n31/02/2020,1\n"))
    assert "line 22, column 'd': 'x' is no date" in str(refusal("d,e\n" + "2023-02-01,1\n" * 20 + "x,1\n"))


# -------------------------------------------------------------------------------------------- marks


@pytest.mark.parametrize(
    ("text", "values", "marks"),
    [
        ("a;b\n1,5;2\n", [1.5, 2], (",", ".")),
        ("a\tb\n1,5\t2\n", [1.5, 2], (",", ".")),
        ("a|b\n1.5|2\n", [1.5, 2], (".", ",")),
        ("a;b\n1,234;2\n", [1.234, 2], (",", ".")),  # decimal unless a cell shows otherwise
        ("a;b\n1,234;2.5\n", [1234, 2.5], (".", ",")),
        ("a;b\n1,234;1,234,567\n", [1234, 1234567], (".", ",")),
        ("a;b\n1.234,5;1.234\n", [1234.5, 1234], (",", ".")),
        ("a;b\n1.234.567;1,5\n", [1234567, 1.5], (",", ".")),
        ("a;b\n1.234;2\n", [1.234, 2], (".", ",")),
        ("a,b\n1.234,2\n", [1.234, 2], (".", ",")),
    ],
)
def test_marks_that_cells_prove(text, values, marks):
    frame = table(text)
    source = frame.attrs["source"]
    assert frame.iloc[0].tolist() == values and (source["decimal"], source["thousands"]) == marks


def test_marks_that_are_given():
    assert table('a,b\n"1,5",2\n', decimal=",")["a"][0] == 1.5
    assert table("a;b\n1,234;2\n", decimal=".")["a"][0] == 1234
    assert table("a;b\n1,234;2\n", thousands=",")["a"][0] == 1234
    assert table("a;b\n1 234,5;2\n", thousands=" ")["a"][0] == 1234.5
    assert table("a;b\n1\u202f234,5;2\n", thousands=" ")["a"][0] == 1234.5
    assert table("a;b\n12'345.5;2\n", thousands="'")["a"][0] == 12345.5
    assert table("a,b\n1_000,2\n", thousands="_")["a"][0] == 1000
    # not in whole groups
    assert table("a;b\n12'34;2\n", thousands="'")["a"].dtype == object


def test_a_table_like_another_one():
    """What the cells of a few rows do not say is as it was in the training."""
    for text, decimal, values in (("a;b\n1,234;2\n", ".", [1234, 2]), ("a;b\n1.234;2\n", ",", [1234, 2])):
        assert table(text, like={"decimal": decimal}).iloc[0].tolist() == values
    assert table("a;b\n1,5;2\n", like={"decimal": "."})["a"][0] == 1.5
    assert table("a,b\n1.234,2\n", like={"decimal": ","})["a"][0] == 1.234  # of cells with commas between them
    days = table("d,e\n31/01/2020,1\n", columns={"d": "date"})
    assert days.attrs["source"]["dates"] == {"d": "dmy"}
    for text in ("d,e\n1/2/2020,1\n", "d,e\n2020-02-01,1\n"):
        found = table(text, columns={"d": "date"}, like=days.attrs["source"])
        assert found["d"][0] == datetime.datetime(2020, 2, 1)
    assert table("d,e\n2020-02-01,1\n1/2/2020,1\n", columns={"d": "date:dmy"})["d"].nunique() == 1


@needs_modules
def test_the_command_reads_rows_as_those_of_the_training(tmp_path, capsys):
    """One row does not say that 1,234 is more than a thousand, nor that 1/2/2020 is in February."""
    rng = np.random.default_rng(0)
    lines = [f"{'1,234' if k % 2 else '250.5'};{1 + k % 28}/{1 + k % 12}/2020;{rng.normal():.6f}" for k in range(60)]
    train, rows, model = tmp_path / "train.csv", tmp_path / "rows.csv", tmp_path / "model.npz"
    train.write_text("\n".join(["price;day;y", *lines]))
    options = ["--target", "y", "--epochs", "1", "--quiet", "--no-compare", "--history", str(tmp_path / "history.json")]
    assert cli.main(["train", str(train), *options, "--output", str(model)]) == 0
    predictions = []
    for row in ("1,234;1/2/2020", "1234.0;01/02/2020", "1234;2020-02-01"):
        rows.write_text(f"price;day\n{row}\n")
        capsys.readouterr()
        assert cli.main(["predict", str(model), str(rows)]) == 0
        predictions.append(capsys.readouterr().out)
    assert len(set(predictions)) == 1


def test_marks_that_contradict():
    error = refusal("a;b\n1;2,5\n1.5;2\n")
    assert "line 3, column 'a': '1.5' has a decimal point" in str(error)
    assert "line 2, column 'b': '2,5' has a decimal comma" in str(error)
    assert {way[0]["decimal"] for way in error.ways} == {".", ","}
    error = refusal('a,b\n"1,5",2\n')
    assert "line 2, column 'a': '1,5' has a decimal comma" in str(error) and error.options == {"decimal": ","}
    # text that merely has commas proves nothing
    assert table('a,b\n"1,5",2.5\n"x, y",3\n"z",4\n')["b"].tolist() == [2.5, 3, 4]


# ------------------------------------------------------------------------------------- separators


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(separator):
    rows = [["a", "b", "c"], ["x", "1", "2"], ["y", "3", "4"]]
    frame = table("".join(separator.join(row) + "\n" for row in rows))
    assert list(frame.columns) == rows[0] and frame["c"].tolist() == [2, 4]
    assert frame.attrs["source"]["separator"] == separator


def test_separators_among_others():
    assert list(table("temp, C;b\n1;2\n3;4\n").columns) == ["temp, C", "b"]
    assert list(table("a;b\n1,5;2,5\n3,5;4,5\n").columns) == ["a", "b"]
    assert list(table('a,b\n"x;y",1\n"z;w",2\n').columns) == ["a", "b"]
    assert list(table("sep=|\na|b,c\n1|2\n").columns) == ["a", "b,c"]
    assert list(table("a:b\n1:2\n", separator=":").columns) == ["a", "b"]
    assert table(" a  b \n 1   2\n", separator="blank")["b"].tolist() == [2]
    assert table("a,b\n1,2\n", separator=";").columns.tolist() == ["a,b"]
    assert table("word\nx\ny\n")["word"].tolist() == ["x", "y"]  # one column


def test_quotes():
    frame = table('"a, 1" , "b ""c"""\n"x, y" , " 1 "\n"two\nlines",2\n')
    assert list(frame.columns) == ["a, 1", 'b "c"'] and frame.iloc[:, 0].tolist() == ["x, y", "two\nlines"]
    assert frame.iloc[:, 1].tolist() == [1, 2]
    assert table('a,b\nx,5" pipe\n')["b"].tolist() == ['5" pipe']
    assert "line 3: a quote is opened and never closed" in str(refusal('a,b\n1,x\n2,"y\n3,z\n'))
    error = refusal('a,b\n1,"x\n2,y\n3,z",4\n')
    assert "lines 2 to 4, which a quote joins, has 3 cells" in str(error)
    assert "more than 131072 characters" in str(refusal('a,b\n1,"' + "x" * 200000 + '"\n'))


def test_ragged_lines():
    error = refusal("a,b\n1,2\n" * 1 + "\n1,2,3\n")
    assert "line 4 has 3 cells and line 1 has 2, with a comma for the separator" in str(error)
    assert "line 3 has 1 cell" in str(refusal("a,b\n1,2\n1\n"))
    assert "a semicolon for the separator" in str(refusal("a;b\n1;2\n1;2;3\n1;2\n"))


def test_one_cell_more_than_the_header():
    right = table("a,b\n5,6\n7,8\n")
    for text in ("a,b\n5,6,\n7,8,\n", "a,b\n1,5,6\n2,7,8\n", ",a,b\n1,5,6\n2,7,8\n"):  # the second one is R's
        pandas.testing.assert_frame_equal(table(text), right)
    text = "a,b\nMazda,5,6\nFiat,7,8\n"
    error = refusal(text)
    assert "line 2 has 3 cells" in str(error) and error.options == {"columns": {"column_1": "drop"}}
    pandas.testing.assert_frame_equal(table(text, **error.options), right)
    assert table(text, columns={"column_1": "text"})["column_1"].tolist() == ["Mazda", "Fiat"]
    # decimal commas are not two cells
    assert refusal("value\n1,5\n2,5\n").options == {"separator": ";"}
    assert table("value\n1,5\n2,5\n", separator=";")["value"].tolist() == [1.5, 2.5]
    assert refusal("a, b\n1 2\n3 4\n").options == {"separator": "blank"}


def test_line_ends_blanks_and_empty_lines():
    base = "a,b\n1,x\n2,y\n"
    right = table(base)
    forms = [base.replace("\n", "\r\n"), base.replace("\n", "\r"), base.replace(",", " , "), base + "\n \n\n"]
    forms += ["\ufeff" + base, base.rstrip("\n"), "\n \n" + base]
    for text in forms:
        pandas.testing.assert_frame_equal(table(text), right)


# ------------------------------------------------------------------------------------------ header


def test_headers():
    error = refusal("5.1,3.5,Kind-1\n4.9,3.0,Kind-0\n")
    assert "header" in str(error) and "numbers" in str(error) and error.options == {"header": False}
    assert "--no-header" in error.in_shell()
    frame = table("5.1,3.5,Kind-1\n4.9,3.0,Kind-0\n", header=False)
    assert list(frame.columns) == ["column_1", "column_2", "column_3"] and len(frame) == 2
    assert list(table("1990,1991\n1,2\n", header=True).columns) == ["1990", "1991"]
    assert "missing values" in str(refusal("a,NA\n1,2\n"))
    assert "dates" in str(refusal("a,2020-01-01\n1,2020-01-02\n"))
    assert "booleans" in str(refusal("a,True\n1,False\n"))
    assert "numbers" in str(refusal("a,007\n1,008\n"))
    assert "no header" in str(refusal("x,o,win\no,x,win\nx,x,loss\no,o,win\n"))  # what is below is above too
    assert "one name, 'a'" in str(refusal("a,a,b\n1,2,3\n"))
    assert "one name" in str(refusal("a,a,b\n1,2,3\n", header=True))
    assert "header" in str(refusal("")) and "header" in str(refusal("\n\n")) and "header" in str(refusal(",,\n1,2,3\n"))
    assert "no rows" in str(refusal("a,b\n")) and "no rows" in str(refusal("a,b\n", header=True))


def test_columns_without_a_name():
    frame = table(",a\n0,5\n1,6\n2,5\n")
    assert list(frame.columns) == ["a"] and frame.attrs["source"]["left_out"] == ["column_1"]
    assert list(table("Unnamed: 0,a\n1,5\n2,6\n").columns) == ["a"]
    assert list(table("a,\n5,\n6,\n").columns) == ["a"]  # separators at the ends of lines
    error = refusal(",a\n17,5\n3,6\n")
    assert "column 1 has no name" in str(error) and error.options == {"columns": {"column_1": "drop"}}
    assert list(table(",a\n17,5\n3,6\n", **error.options).columns) == ["a"]
    frame = table(",a\nMazda,5\nFiat,6\n", columns={"column_1": "text"})
    assert frame["column_1"].tolist() == ["Mazda", "Fiat"]
    assert "no column has a name" in str(refusal(",,\n0,0,1\n1,1,2\n", header=True))


# ---------------------------------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_themselves(encoding):
    frame = table("ort,höhe\nZürich,1\n東京,2\n".encode(encoding))
    assert frame["ort"].tolist() == ["Zürich", "東京"] and list(frame.columns) == ["ort", "höhe"]


def test_encodings_that_are_given():
    data = "ort,höhe\nZürich,1\n".encode("latin-1")
    assert table(data, encoding="latin-1")["ort"].tolist() == ["Zürich"]
    assert table("a,b\n東京,1\n".encode("shift_jis"), encoding="shift_jis")["a"].tolist() == ["東京"]
    assert table("a,b\n1,2\n".encode("utf-16-le"), encoding="utf-16-le")["b"].tolist() == [2]
    with pytest.raises(ValueError, match="encoding is 'latin-0'"):
        table(data, encoding="latin-0")


def test_bytes_that_are_wrong():
    error = refusal("id,city\n1,Bern\n2,Zürich\n".encode("latin-1"))
    assert "line 3, column 'city': byte 0xfc is no text in UTF-8" in str(error)
    assert error.options == {"encoding": "latin-1"} and "--encoding latin-1" in error.in_shell()
    assert "line 1, column 2" in str(refusal("id,höhe\n1,2\n".encode("latin-1")))
    assert refusal("id,city\n1,it\u2019s\n".encode("cp1252")).options == {"encoding": "cp1252"}
    assert refusal("id,city\n1,Bern\n".encode("utf-16-le")).options == {"encoding": "utf-16"}
    assert refusal("id,city\n1,Zürich\n".encode("utf-16-le")).options == {"encoding": "utf-16"}
    assert "line 2" in str(refusal("a,b\n1,\ud55c\n".encode("euc-kr"), encoding="ascii"))


# -------------------------------------------------------------------------------------------- files


def test_compressed_files(tmp_path):
    data = b"a,b\n1,x\n2,y\n"
    right = table(data)
    forms = {"gz": gzip.compress(data), "bz2": bz2.compress(data), "xz": lzma.compress(data)}
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", data)
        archive.writestr("__MACOSX/._t.csv", b"\0")
    for suffix, packed in forms.items():
        (tmp_path / f"t.{suffix}").write_bytes(packed)
        (tmp_path / "cut").write_bytes(packed[:-10])
        with pytest.raises(TableError, match="cannot be unpacked"):
            read(tmp_path / "cut")
    for suffix in (*forms, "zip"):
        pandas.testing.assert_frame_equal(read(tmp_path / f"t.{suffix}"), right)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("t.csv", data)
        archive.writestr("u.csv", data)
    with pytest.raises(TableError, match="holds 2 files"):
        read(tmp_path / "two.zip")
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", b"")
    with pytest.raises(TableError, match="spreadsheet"):
        read(tmp_path / "t.xlsx")


def test_zstandard(tmp_path):
    zstandard = pytest.importorskip("zstandard", reason="the package zstandard is not installed")
    (tmp_path / "t.csv.zst").write_bytes(zstandard.compress(b"a,b\n1,2\n"))
    assert read(tmp_path / "t.csv.zst")["b"].tolist() == [2]


def test_several_files(tmp_path):
    texts = {"one": "a,b\n1,x\n\n2,y\n", "two": "b;a\nz;3\n", "few": "a\n1\n", "more": "a,b,c\n1,2,3\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)
    frame = read([tmp_path / "one.csv", tmp_path / "two.csv"])
    assert frame["a"].tolist() == [1, 2, 3] and frame["b"].tolist() == ["x", "y", "z"]
    assert frame.attrs["source"]["paths"] == ["one.csv", "two.csv"]
    assert [place(frame, row) for row in range(3)] == ["one.csv, line 2", "one.csv, line 4", "two.csv, line 2"]
    with pytest.raises(TableError, match=r"few.csv has no column 'b', which .*one.csv has"):
        read([tmp_path / "one.csv", tmp_path / "few.csv"])
    with pytest.raises(TableError, match=r"more.csv has a column 'c', which .*one.csv has not"):
        read([tmp_path / "one.csv", tmp_path / "more.csv"])
    (tmp_path / "bad.csv").write_text("a,b\n1,x\ninf,y\n")
    with pytest.raises(TableError, match=r"bad.csv, line 3, column 'a'"):
        read([tmp_path / "one.csv", tmp_path / "bad.csv"])
    with pytest.raises(ValueError, match="path is empty"):
        read([])
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.csv")


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow", reason="the package pyarrow is not installed")
    frame = pandas.DataFrame(
        {
            "n": [1, 2, 3],
            "x": [0.5, None, 2],
            "t": ["a", None, " NA "],
            "b": [True, False, True],
            "g": pandas.array([True, None, False], "boolean"),
            "i": pandas.array([1, None, 3], "Int64"),
            "d": pandas.to_datetime(["2024-01-31", None, "2024-02-01"]),
            "z": pandas.to_datetime(["2024-01-31T10:00+01:00"] * 3),
            "c": pandas.Categorical(["u", "v", None]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet")
    assert list(map(str, found.dtypes)) == [
        "int64", "float64", "object", "bool", "object", "float64", "datetime64[us]", "datetime64[us]", "object",
    ]  # fmt: skip
    assert found["t"].tolist() == ["a", None, None] and found["g"].tolist() == [True, None, False]
    assert found["c"].tolist() == ["u", "v", None] and found["z"][0].hour == 9
    assert read(tmp_path / "t.parquet", columns={"n": "text"})["n"].tolist() == ["1", "2", "3"]
    assert place(found, 1) == "t.parquet, row 1"
    pandas.DataFrame({"x": [1.0, np.inf]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"row 1, column 'x': .* not finite"):
        read(tmp_path / "t.parquet")
    pandas.DataFrame({"x": [[1], [2]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"row 0, column 'x': a value of type ndarray"):
        read(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + b"\0" * 40)
    with pytest.raises(TableError, match="cannot be read as Parquet"):
        read(tmp_path / "t.parquet")


def test_libraries_that_are_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        table(b"PAR1....")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    with pytest.raises(ImportError, match="pip install zstandard"):
        table(b"\x28\xb5\x2f\xfd....")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="the extra 'table', which is not installed: pip install pandas"):
        table("a,b\n1,2\n")


def test_other_files():
    for data, what in ((b"\x93NUMPY\1\0", "NumPy"), (b"%PDF-1.4", "PDF"), (b"\xd0\xcf\x11\xe0", "spreadsheet")):
        assert what in str(refusal(data))


# -------------------------------------------------------------------------------------- the rest


def test_what_is_said_of_a_source():
    source = table("a;b\n1,5;x\n").attrs["source"]
    assert source == {
        "paths": ["<table>"], "separator": ";", "decimal": ",", "thousands": ".", "dates": {}, "units": {},
        "encoding": None, "left_out": [], "lines": [[0, 0, 2], [1, None, None]],
    }  # fmt: skip


def test_places():
    frame = table('a,b\n1,"x\ny"\n\n3,z\n4,w\n')
    assert [place(frame, row) for row in range(3)] == [f"<table>, line {line}" for line in (2, 5, 6)]
    part = frame[frame["a"] > 1]
    assert [place(part, row) for row in range(2)] == ["<table>, line 5", "<table>, line 6"]
    assert place(frame.iloc[::-1], 0) == "<table>, line 6"
    assert place(part.reset_index(drop=True), 0) == "row 0"  # which line that was is not known any more
    assert place(pandas.DataFrame({"a": [1]}), 0) == "row 0"
    assert place(frame.set_index("b"), 1) == "row 1"


def test_places_of_many_cells_of_several_lines():
    frame = table("a,b\n" + '1,"x\ny"\n' * 1200)
    assert place(frame, 999) == "<table>, line 2000" and place(frame, 1100) == "row 1100"


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"separator": "ab"}, "separator is 'ab'"),
        ({"separator": "x"}, "separator is 'x'"),
        ({"decimal": ";"}, "decimal is ';'"),
        ({"thousands": ":"}, "thousands is ':'"),
        ({"thousands": ",", "decimal": ","}, "both ','"),
        ({"header": "no"}, "header is 'no'"),
        ({"columns": {"a": "txt"}}, "columns\\['a'\\] is 'txt'.*did you mean 'text'"),
        ({"encoding": 1}, "encoding is 1"),
        ({"missing": [1]}, "missing holds 1"),
    ],
)
def test_options_that_are_wrong(options, what):
    with pytest.raises((TypeError, ValueError), match=what):
        table("a,b\n1,2\n", **options)


def test_errors_can_be_pickled():
    import pickle

    error = refusal("a,b\n1,inf\n")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.options == error.options


# -------------------------------------------------------------------------------------------- fuzz

hypothesis = pytest.importorskip("hypothesis", reason="the package hypothesis is not installed")
st = hypothesis.strategies

UNDER_BOTH = hypothesis.settings(
    max_examples=200,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
CELLS = st.one_of(
    st.sampled_from(["", "NA", "nan", "inf", "1", "1.5", "1,5", "1.234,5", "007", "true", '"', "a"]),
    st.sampled_from(["2024-01-31", "31.12.2020", "1/2/2020", "2024-13-31"]),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=5),
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.builds(
        lambda separator, end, rows: end.join(separator.join(row) for row in rows),
        st.sampled_from([",", ";", "\t", "|", " , "]),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=6),
    ),
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "header": st.booleans(),
        "decimal": st.sampled_from([".", ","]),
        "thousands": st.sampled_from(["'", " ", "_"]),
        "separator": st.sampled_from([",", ";", "\t", " ", ":"]),
        "missing": st.lists(CELLS, max_size=2),
    },
)


@hypothesis.given(TEXTS, OPTIONS)
@UNDER_BOTH
def test_any_text_is_a_table_or_an_error_of_one_line(text, options):
    try:
        frame = table(text, **options)
    except TableError as error:
        assert str(error).isprintable() and error.in_shell()
    else:
        assert len(frame) and not set(map(str, frame.dtypes)) - {"int64", "float64", "bool", "object", "datetime64[us]"}


PLAIN = st.one_of(
    st.sampled_from(["", "NA", "1", "2", "-1", "+1", "0", "007", "1.5", ".5", "5.", "1e3", "1,5", "1.234", "x"]),
    st.sampled_from([" 1", "2 ", "\t3", "nan", "true", "2020-01-31", "1_0", "0x1", "1e", "1E400", "5%", "\u22121"]),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**70), 2**70).map(str),
)


@hypothesis.given(st.sampled_from([",", ";", "\t"]), st.data())
@UNDER_BOTH
def test_plain_text_is_read_alike_by_both_ways(separator, data):
    kinds = [data.draw(st.sampled_from([PLAIN, PLAIN, st.just("7"), st.just("0.5")])) for _ in range(3)]
    rows = data.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=5))
    names = data.draw(st.sampled_from(["abc", ("", "b", "c"), ("a", "Unnamed: 1", "c")]))
    text = "".join(separator.join(row) + "\n" for row in [names, *rows])
    options, found = data.draw(OPTIONS), []
    for large in (0, 1 << 20):
        reading._LARGE = large  # the fixture puts it back
        try:
            frame = table(text, **options)
            found.append((frame, frame.attrs))
        except TableError as error:
            found.append(str(error))
    if isinstance(found[1], str):
        assert found[0] == found[1]
    else:
        pandas.testing.assert_frame_equal(found[0][0], found[1][0], check_exact=True)
        assert found[0][1] == found[1][1]


@hypothesis.given(st.binary(max_size=60), st.sampled_from([None, "latin-1", "utf-16", "utf-7", "shift_jis", "idna"]))
@UNDER_BOTH
def test_any_bytes_are_a_table_or_an_error_of_one_line(data, encoding):
    try:
        table(data, encoding=encoding)
    except TableError as error:
        assert str(error).isprintable()
    except ImportError as error:  # a magic number of a format that another library reads
        assert "not installed" in str(error)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6).map(str.strip)


@hypothesis.given(st.data())
@UNDER_BOTH
def test_what_pandas_writes_comes_back(data):
    from fastbp.table.grammar import MISSING

    rows = data.draw(st.integers(1, 6))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    words = WORDS.filter(lambda word: word not in MISSING)
    days = st.datetimes(min_value=datetime.datetime(1000, 1, 1))  # pandas 2 writes three digits of the year 999
    frame = pandas.DataFrame(
        {
            "whole": data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=rows, max_size=rows)),
            "real": data.draw(st.lists(finite, min_size=rows, max_size=rows)),
            "flag": data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)),
            "text": pandas.Series(data.draw(st.lists(words, min_size=rows, max_size=rows)), dtype=object),
            "day": np.array(data.draw(st.lists(days, min_size=rows, max_size=rows)), "datetime64[us]"),
        }
    )
    # not every number looks like one with a decimal comma
    separator, decimal = data.draw(st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", ","), ("|", ".")]))
    text = frame.to_csv(index=False, sep=separator, decimal=decimal)
    found = table(text, separator=separator, decimal=decimal, columns={"text": "text"}, header=True)
    pandas.testing.assert_frame_equal(found, frame.rename_axis(columns=None), check_exact=True)


@pytest.mark.parametrize(
    ("cells", "numbers", "unit"),
    [
        (["5%", "12.5 %", "-3%"], [5.0, 12.5, -3.0], "%"),
        (["$5", "-$1", "$-2", "$0.5"], [5.0, -1.0, -2.0, 0.5], "$"),
        (['"$1,234.50"', "$3.00", "NA"], [1234.5, 3.0, None], "$"),
        (["5 \u20ac", "7\u20ac", "1 \u20ac"], [5, 7, 1], "\u20ac"),
        (["\u22125", "3", "1e\u22121"], [-5.0, 3.0, 0.1], None),
    ],
)
def test_one_sign_of_a_unit_may_stand_at_all_numbers_of_a_column(cells, numbers, unit):
    frame = table("a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    assert frame["a"].dtype.kind in "if"
    assert [None if value != value else value for value in frame["a"].tolist()] == numbers
    assert frame.attrs["source"]["units"].get("a") == unit


@pytest.mark.parametrize("cells", [["5%", "7", "8%"], ["5%", "$7", "8%"], ["a%", "5%", "6%"], ["%", "5%", "6%"]])
def test_units_that_differ_are_text(cells):
    frame = table("a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    assert frame["a"].tolist() == cells and frame.attrs["source"]["units"] == {}


def test_units_are_those_of_the_training():
    source = table("a,b\n5%,x\n7%,y\n").attrs["source"]
    assert table("a,b\n5,x\n", like=source)["a"].tolist() == [5]
    with pytest.raises(TableError, match=r"column 'a' has \$ at its numbers, and that of the training %"):
        table("a,b\n$5,x\n", like=source)


def test_codes_keep_their_units_where_a_column_is_text():
    assert table("a,b\n5%,x\n7%,y\n", columns={"a": "text"})["a"].tolist() == ["5%", "7%"]


def test_blanks_separate_where_nothing_else_does():
    frame = table("a  b c\n1   2 x\n3 4    y\n")
    assert (frame.attrs["source"]["separator"], frame.values.tolist()) == (" ", [[1, 2, "x"], [3, 4, "y"]])
    assert table("city\nNew York\nRome\n").columns.tolist() == ["city"]


@pytest.mark.parametrize(
    ("options", "match"),
    [({"missing": 3}, "missing is 3"), ({"columns": "a"}, "columns is 'a'"), ({"like": 3}, "like is 3")],
)
def test_options_of_other_types_are_named(options, match):
    with pytest.raises(TypeError, match=match):
        read(io.StringIO("a,b\n1,2\n"), **options)
