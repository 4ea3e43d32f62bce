"""Text files: every row of the table of bad inputs that concerns them, by its number (001 to 029)."""

from __future__ import annotations

import math

import pytest

from bayesmeta.csvfile import Limits, read_csv, read_csv_file
from bayesmeta.errors import AnalysisError, DataError, FileError


@pytest.fixture
def load(tmp_path):
    """Write a file and read it back as lists."""

    def write_and_read(content, **options):
        path = tmp_path / "studies.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        table = read_csv(path, **options)
        return {name: column.tolist() for name, column in table.columns.items()}

    return write_and_read


@pytest.fixture
def refusal(load):
    """Return the text of the error that a file gets."""

    def text_of(content, *, kind=DataError, **options):
        with pytest.raises(kind) as caught:
            load(content, **options)
        assert type(caught.value) is kind
        return str(caught.value)

    return text_of


PLAIN = "study,yi,sei\nYu 2023,0.1,0.2\nZhu 2023,-3e-2,.5\n"
PLAIN_COLUMNS = {"study": ["Yu 2023", "Zhu 2023"], "yi": [0.1, -0.03], "sei": [0.2, 0.5]}


def test_a_plain_file_gives_numbers_and_text(load):
    assert load(PLAIN) == PLAIN_COLUMNS


def test_the_line_of_every_row_is_kept_past_blank_lines_and_line_breaks_in_cells(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text('study,yi\n\n"Yu\n2023",1\n\n   \nZhu,2\n')
    table = read_csv(path)
    assert table.lines == (3, 7)
    assert table.where(1) == "s.csv:7"


def test_numbers_are_the_nearest_doubles(load):
    digits = "0.1000000000000000055511151231257827"
    assert load(f"a,b\n{digits},123456789012345678901234567890\n") == {
        "a": [0.1],
        "b": [1.2345678901234568e29],
    }


def test_001_a_byte_order_mark_changes_nothing(load):
    assert load(b"\xef\xbb\xbf" + PLAIN.encode()) == PLAIN_COLUMNS


def test_002_semicolons_and_decimal_commas_are_found_out_where_there_is_no_doubt(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("study;yi;sei\nYu 2023;0,1;0,2\nZhu 2023;-3e-2;0,5\n")
    file = read_csv_file(path)
    assert {name: column.tolist() for name, column in file.table.columns.items()} == PLAIN_COLUMNS
    assert file.notes == (
        ("csv-dialect", 's.csv: read with delimiter = ";" and decimal = ",", as found out from the file'),
    )
    said = read_csv_file(path, delimiter=";", decimal=",")
    assert said.notes == ()
    assert said.table.columns["yi"].tolist() == [0.1, -0.03]


def test_002_commas_that_may_stand_before_thousands_are_refused(refusal, load):
    text = "study;n\nA;1,234\nB;2,500\n"
    assert refusal(text) == (
        "studies.csv: the commas in numbers may stand before thousands;"
        ' say which is the decimal mark with decimal = "," or "."'
    )
    assert load(text, decimal=",")["n"] == [1.234, 2.5]


def test_002_commas_and_points_together_are_refused(refusal):
    assert refusal("study;a;b\nA;1,5;2.5\n") == (
        "studies.csv: some numbers have a comma and some a point;"
        ' say which is the decimal mark with decimal = "," or "."'
    )


def test_002_two_possible_delimiters_are_refused_unless_one_fits_every_line(refusal, load):
    assert refusal("a;b,c\n1;2,3\n") == (
        "studies.csv: the cells may be separated by ',' or ';'; say which with delimiter ="
    )
    assert load("a;b,c\n1;2,3\n", delimiter=";", decimal=",") == {"a": [1.0], "b,c": [2.3]}
    assert load("a;b (x, y)\n1;2\n") == {"a": [1.0], "b (x, y)": [2.0]}


def test_002_a_decimal_comma_in_a_file_of_commas_is_refused(refusal):
    assert refusal(PLAIN, decimal=",") == (
        "studies.csv: ',' separates the cells, so it cannot be the decimal mark too"
    )


def test_tabs_and_bars_separate_too(load):
    assert load("a\tb\n1\t2.5\n") == {"a": [1.0], "b": [2.5]}
    assert load("a|b\n1|2.5\n") == {"a": [1.0], "b": [2.5]}


def test_003_decimal_commas_in_a_comma_file_are_recognised(refusal):
    assert refusal("study,yi,sei\nA,0,1,0,2\n") == (
        "studies.csv:2: 5 fields, but the header has 3; it looks like decimal commas:"
        " write decimal points, or separate the cells by ';'"
    )


def test_005_006_025_rows_of_a_wrong_length_are_all_named_with_their_lines(refusal):
    assert refusal("study,yi,sei\nA,1\nSmith, J,1,2\nB,1,2\n* adjusted\n").splitlines() == [
        "studies.csv:2: 2 fields, but the header has 3; a cell or a separator is missing",
        "studies.csv:3: 4 fields, but the header has 3; put a label that holds ',' in quotes",
        "studies.csv:5: 1 field, but the header has 3; remove footnotes from below the table,"
        " or complete the row",
    ]


def test_only_twenty_faults_are_told_and_the_rest_counted(refusal):
    lines = refusal("a,b\n" + "1\n" * 33).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 13 more"


def test_007_an_open_quote_is_found_where_it_opens(refusal):
    assert refusal('study,yi\nA,1\n"Brien,2\nC,3\nD,4\n') == (
        "studies.csv:3: the quote that opens on this line is never closed; close it, or write"
        ' """" for an inch mark'
    )


def test_007_a_quote_within_a_cell_is_refused(refusal, load):
    assert refusal('study,yi\nA,1\nO"Brien,2\n') == (
        'studies.csv:3: a quote stands within a cell; put the cell in quotes, and write "" for'
        " the quote itself"
    )
    assert load('study,yi\n"O""Brien",2\n')["study"] == ['O"Brien']
    assert load('study,yi\n"""",2\n')["study"] == ['"']


def test_007_text_behind_a_closing_quote_is_refused_at_the_line_of_the_opening_one(refusal):
    assert refusal('study,yi\n"5 plate,1\nB,2"x,3\n') == (
        "studies.csv:2: something follows the closing quote of the cell that opens on this line;"
        ' put the whole cell in quotes, with "" for every quote within'
    )


def test_quoted_cells_may_hold_delimiters_and_have_blanks_before_them(load):
    assert load('study, yi\n "Smith, J", 1\n') == {"study": ["Smith, J"], "yi": [1.0]}


def test_008_cp1252_is_named_but_not_assumed(refusal, load):
    content = "study,yi\nA,1\nMüller,2\n".encode("cp1252")
    assert refusal(content) == (
        "studies.csv:3: the byte 0xFC is not UTF-8; the file may be in cp1252: save it as UTF-8,"
        ' or say encoding = "cp1252"'
    )
    assert load(content, encoding="cp1252")["study"] == ["A", "Müller"]


def test_008_utf16_is_named_with_and_without_its_mark(refusal, load):
    text = "study,yi\nMüller,2\n"
    assert refusal(text.encode("utf-16")) == (
        'studies.csv: the file looks like UTF-16; save it as UTF-8, or say encoding = "utf-16"'
    )
    assert refusal("study,yi\nA,2\n".encode("utf-16-le")) == (
        'studies.csv: the file looks like UTF-16; save it as UTF-8, or say encoding = "utf-16-le"'
    )
    assert load(text.encode("utf-16"), encoding="utf-16")["study"] == ["Müller"]
    assert load(f"\ufeff{text}".encode("utf-16-le"), encoding="utf-16-le")["study"] == ["Müller"]


def test_008_mixed_encodings_are_told_apart_from_another_encoding(refusal):
    content = "study,yi\nJosé,1\n".encode() + "Müller,2\n".encode("cp1252")
    assert refusal(content) == (
        "studies.csv:3: the byte 0xFC is not UTF-8, though other letters before it are; save"
        " the whole file as UTF-8"
    )


def test_008_a_wrong_encoding_is_told(refusal):
    assert refusal("study,yi\nMüller,2\n".encode(), encoding="ascii") == (
        "studies.csv: the file is not in the encoding 'ascii'; say another with encoding ="
    )


def test_010_011_012_017_every_cell_that_only_looks_like_a_number_is_named(refusal):
    content = (
        'study,yi,sei\nA,45%,<0.001\nB,NR,"1,234"\nC,1,.5\nD,1e999,1\n'
        'E,−1,-inf\nF,1-Feb,5e-400\nG,-,"0,5"\nH,1 234,Infinity\n'
    )
    fix_yi = 'Fix the cell; if the column is text, say text = ["yi"].'
    fix_sei = 'Fix the cell; if the column is text, say text = ["sei"].'
    assert refusal(content, text=["study"]).splitlines() == [
        'studies.csv:2 study "A" column "yi": a number must come without a percent sign, in the units of its'
        f" column; got '45%'. {fix_yi}",
        'studies.csv:2 study "A" column "sei": a number must be exact and stand alone; got \'<0.001\'. '
        + fix_sei,
        'studies.csv:3 study "B" column "yi": a cell must be a number like the others of its'
        " column; got 'NR'. "
        'If it is missing, leave it empty or say na_values = ["NR"]; if the column is text, text = ["yi"].',
        'studies.csv:3 study "B" column "sei": a number must come without thousands separators;'
        f" got '1,234'. {fix_sei}",
        f'studies.csv:5 study "D" column "yi": a number must be finite; got \'1e999\'. {fix_yi}',
        f'studies.csv:6 study "E" column "yi": a minus sign must be the hyphen of the keyboard;'
        f" got '−1'. {fix_yi}",
        f'studies.csv:6 study "E" column "sei": a number must be finite; got \'-inf\'. {fix_sei}',
        'studies.csv:7 study "F" column "yi": a number must not have been turned into a date by'
        " a spreadsheet;"
        f" got '1-Feb'. {fix_yi}",
        'studies.csv:7 study "F" column "sei": a number must not be so small that it is stored as 0;'
        f" got '5e-400'. {fix_sei}",
        'studies.csv:8 study "G" column "yi": a cell must be a number like the others of its'
        " column; got '-'. "
        'If it is missing, leave it empty or say na_values = ["-"]; if the column is text, text = ["yi"].',
        "studies.csv:8 study \"G\" column \"sei\": the decimal mark must be '.'; got '0,5'. "
        'Write it with ".", or say decimal = ",".',
        'studies.csv:9 study "H" column "yi": a number must come without thousands separators;'
        f" got '1 234'. {fix_yi}",
        f'studies.csv:9 study "H" column "sei": a number must be finite; got \'Infinity\'. {fix_sei}',
    ]


@pytest.mark.parametrize("cell", ["NS", ".", "n/a", "NR", "NA", "nan", "None"])
def test_011_marks_of_missing_cells_must_be_declared(cell, refusal, load):
    content = f"study,yi\nA,1\nB,{cell}\n"
    assert f"got '{cell}'" in refusal(content)
    values = load(content, na_values=[cell])["yi"]
    assert values[0] == 1
    assert math.isnan(values[1])


def test_an_empty_cell_is_missing(load):
    columns = load("study,yi,arm\nA,1,\nB,,x\n")
    assert math.isnan(columns["yi"][1])
    assert columns["arm"] == ["", "x"]
    assert all(map(math.isnan, load("study,yi\nA,\nB,\n")["yi"]))


@pytest.mark.parametrize("cell", ["45%", '"1,234"', "inf", '"0,5"', '"1 234,5"', '"1.234,5"'])
def test_010_012_017_such_cells_are_refused_in_a_column_without_any_number_too(cell, refusal):
    assert refusal(f"study,yi\nA,{cell}\nB,{cell}\n").count("\n") == 1


def test_013_studies_called_na_or_null_keep_their_names(load):
    names = ["NA", "None", "null", "nan"]
    content = "study,yi\n" + "".join(f"{name},1\n" for name in names)
    assert load(content)["study"] == names
    assert load(content, text=["study"], na_values=["NA"])["study"] == names


def test_014_a_column_that_stands_twice_is_refused(refusal):
    assert refusal("study,yi,yi,sei,sei\nA,1,1,2,2\n").splitlines() == [
        "studies.csv:1: column 'yi' stands 2 times; give each column a name of its own",
        "studies.csv:1: column 'sei' stands 2 times; give each column a name of its own",
    ]


def test_a_column_without_a_name_and_a_first_row_of_numbers_are_refused(refusal):
    assert refusal("study,,yi\nA,1,2\n") == "studies.csv:1: column 2 has no name"
    assert refusal("A,1,2\nB,3,4\n") == "studies.csv:1: the first line must name the columns; got numbers"


def test_015_blanks_around_names_and_cells_are_stripped(load):
    assert load("study , yi ,\tsei\n Yu 2023 , 0.1 ,0.2 \n") == {
        "study": ["Yu 2023"],
        "yi": [0.1],
        "sei": [0.2],
    }


def test_015_a_name_in_another_case_gets_a_suggestion(refusal, tmp_path):
    path = tmp_path / "studies.csv"
    path.write_text("Study,Yi\nA,1\n")
    with pytest.raises(DataError, match=r'^studies.csv: no column "yi"; did you mean \'Yi\'\?$'):
        read_csv(path).column("yi")
    assert refusal("Study,Yi\nA,1\n", text=["study", "nothing alike"]).splitlines() == [
        "studies.csv: no column \"study\"; did you mean 'Study'?",
        'studies.csv: no column "nothing alike"',
    ]


def test_016_labels_with_leading_zeros_stay_text(load):
    assert load("id,yi\n001,1\n010,2\n")["id"] == ["001", "010"]


def test_columns_declared_as_text_stay_text_whatever_they_hold(load):
    columns = load("id,dose\n1,45%\n2,<5\n", text=["id", "dose"])
    assert columns == {"id": ["1", "2"], "dose": ["45%", "<5"]}


def test_categories_with_comparison_signs_are_text(load):
    assert load("study,age\nA,<65\nB,>65\n")["age"] == ["<65", ">65"]


def test_023_an_empty_file_and_a_bare_header_have_no_studies(refusal):
    assert refusal("") == "studies.csv: no studies; the file is empty"
    assert refusal("\n\n") == "studies.csv: no studies; the file is empty"
    assert refusal("study,yi\n") == "studies.csv: no studies; the file has a header and no rows"
    assert refusal("study,yi\n,\n") == "studies.csv: no studies; the file has a header and no rows"


def test_rows_without_any_content_are_passed_over_with_a_remark(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("study,yi\nA,1\n,\n,\n")
    file = read_csv_file(path)
    assert file.table.n == 1
    assert file.notes == (("blank-rows", "s.csv: 2 rows without any content were passed over"),)


@pytest.mark.parametrize("ending", ["\r", "\r\n", "\n"])
def test_026_every_line_ending_will_do(ending, load, tmp_path):
    assert load(PLAIN.replace("\n", ending)) == PLAIN_COLUMNS
    assert read_csv(tmp_path / "studies.csv").lines == (2, 3)


def test_026_control_characters_are_refused_with_their_lines(refusal):
    assert refusal("study,yi\nA\x0b,1\nB,\x002\n").splitlines() == [
        "studies.csv:2: a text must not hold control characters; got U+000B",
        "studies.csv:3: a text must not hold control characters; got U+0000",
    ]


def test_027_029_tables_beyond_the_limits_are_refused(refusal):
    small = Limits(size=100, rows=2, columns=3, cell=10)
    assert refusal("a,b\n" + "1,2\n" * 30, kind=FileError, limits=small).endswith(
        "studies.csv: the file is larger than the limit of 9.53674e-05 MB"
    )
    assert (
        refusal("a,b\n1,2\n3,4\n5,6\n", limits=small)
        == "studies.csv: more rows than the limit of 2 (Limits.rows)"
    )
    assert refusal("a,b,c,d\n1,2,3,4\n", limits=small) == (
        "studies.csv:1: more columns than the limit of 3 (Limits.columns)"
    )
    assert refusal("a,b\n1,12345678901\n", limits=small) == (
        "studies.csv:2: a cell is longer than the limit of 10 characters (Limits.cell)"
    )
    assert refusal("a,b\n1," + "x" * 200_000 + "\n") == (
        "studies.csv:2: a cell is longer than the limit of 10000 characters (Limits.cell)"
    )


def test_027_a_table_at_the_limits_is_read(load):
    assert load("a,b\n1,2\n3,4\n", limits=Limits(size=20, rows=2, columns=2, cell=1))["b"] == [2, 4]


def test_a_foreign_file_is_not_quoted(tmp_path):
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\nsecret:y:1:1:s:/home/s:/bin/sh\n")
    with pytest.raises(DataError) as caught:
        read_csv(path)
    assert str(caught.value) == (
        "passwd:1: the header must name at least two columns, and has one;"
        " say what separates the cells with delimiter ="
    )


def test_long_cells_are_cut_in_messages(refusal):
    assert f"got '{'x' * 39}…'" in refusal(f"study,yi\nA,1\nB,{'x' * 500}\n")


def test_wrong_options_are_named_all_at_once(refusal):
    assert refusal(
        PLAIN, kind=AnalysisError, delimiter=":", decimal="'", encoding="klingon"
    ).splitlines() == [
        "delimiter must be one of ',', ';', '\\t', '|'; got ':'",
        "decimal must be '.' or ','; got '''",
        "encoding must be one such as 'utf-8', 'cp1252' or 'utf-16'; got 'klingon'",
    ]
    assert refusal(PLAIN, kind=AnalysisError, delimiter=",", decimal=",") == (
        "delimiter and decimal must differ; both are ','"
    )
    assert refusal(PLAIN, kind=AnalysisError, na_values="NR") == "na_values must be a list of texts; got 'NR'"
    for trick in ("rot13", "unicode_escape", "idna", "base64", "a\0b"):
        assert refusal(PLAIN, kind=AnalysisError, encoding=trick).startswith("encoding must be")
