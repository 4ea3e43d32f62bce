import pytest

from bayesmeta.plots.words import (
    bounded,
    capital,
    clean,
    decimals_for,
    number_text,
    ratio_text,
    shortened,
    width_of,
    wrapped,
)


@pytest.mark.parametrize(
    ("half_width", "decimals"), [(0.05, 3), (0.5, 2), (5.0, 1), (50.0, 1), (500.0, -1), (5e-13, 14)]
)
def test_decimals_show_two_digits_of_an_interval(half_width, decimals):
    assert decimals_for([half_width]) == decimals


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (-0.0374, 3, "−0.037"),
        (-0.0001, 2, "0.00"),
        (float("nan"), 2, "does not exist"),
        (float("-inf"), 2, "−∞"),
        (4e-13, 14, "4.0×10⁻¹³"),
        (4.2e11, -10, "4.2×10¹¹"),
        (1e9 + 0.25, 2, "1.00000000025×10⁹"),
        (12345.6, -2, "12346"),
    ],
)
def test_numbers_keep_the_digits_that_count(value, decimals, text):
    assert number_text(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.00012, "1.2×10⁻⁴"),
        (0.045, "0.045"),
        (0.0996, "0.10"),
        (1.0, "1.00"),
        (9.996, "10.0"),
        (99.97, "100"),
        (123456.0, "1.2×10⁵"),
        (float("inf"), "∞"),
    ],
)
def test_ratios_have_two_or_three_digits(value, text):
    assert ratio_text(value) == text


@pytest.mark.parametrize(
    ("probability", "text"), [(0.9991, "> 0.999"), (0.0009, "< 0.001"), (0.5, "= 0.500"), (1.0, "> 0.999")]
)
def test_probabilities_never_say_0_or_1(probability, text):
    assert bounded(probability, "= ") == text


def test_clean_text_is_one_line_without_control_direction_or_lone_surrogate_signs():
    assert clean("a\nb\t c\x07\u202e\ud800\ufffe") == "a b c"


def test_headings_get_a_capital_unless_the_word_has_its_own():
    assert [capital(text) for text in ("whole body", "mRNA vaccine", "")] == [
        "Whole body",
        "mRNA vaccine",
        "",
    ]


def test_long_text_is_cut_with_an_ellipsis_that_fits():
    cut = shortened("x" * 150, 80, 9)
    assert cut.endswith("…")
    assert width_of(cut, 9) <= 80 < width_of(cut[:-1] + "xx…", 9)
    assert shortened("short", 80, 9) == "short"


def test_wrapped_lines_fit_and_keep_every_word():
    text = "one two three four five six seven eight nine ten"
    lines = wrapped(text, 60, 9)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert all(width_of(line, 9) <= 60 for line in lines)


def test_a_sign_without_a_font_is_measured_without_a_warning():
    assert width_of("運動", 10) >= 20  # two full-width signs of 10 points
