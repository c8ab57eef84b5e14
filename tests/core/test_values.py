"""Numbers and dates of messages: kept exactly, or refused with what would be clear; never changed without a word."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import numbers, values

MOSCOW, BERLIN, HONOLULU = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Honolulu")


class TestNumbers:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (7, 7),
            (125000.0, 125000),
            (0.1, 0.1),
            (9007199254740993, 9007199254740993),
            ("9007199254740993", 9007199254740993),
            ("40702810500000012345", 40702810500000012345),  # an account number
            (" 125 ", 125),
            ("1,5", 1.5),
            ("0,250", 0.25),
            ("1250,500", 1250.5),
            (",5", 0.5),
            ("125 000,50", 125000.5),
            ("125\N{NO-BREAK SPACE}000", 125000),
            ("1\N{NARROW NO-BREAK SPACE}250\N{NARROW NO-BREAK SPACE}000,25", 1250000.25),
            ("125,000.50", 125000.5),
            ("1,250,000", 1250000),
            ("125.000,50", 125000.5),
            ("1.250.000", 1250000),
            ("1.250", 1.25),  # programs write a point and no thousands
            ("-1.25E5", -125000),
            ("1e300", 1e300),
            ("125.", 125),
        ],
    )
    def test_is_read_as_it_was_meant(self, written: Any, read: float) -> None:
        number = values.number("сумма", written)
        assert number == read
        assert type(number) is type(read)

    @pytest.mark.parametrize(
        ("written", "readings"),
        [("1,250", ["1.250", "1250"]), ("-12,345", ["-12.345", "-12345"]), ("999,000", ["999.000", "999000"])],
    )
    def test_that_can_be_read_in_two_ways_is_refused_and_both_are_named(
        self, written: str, readings: list[str]
    ) -> None:
        with pytest.raises(values.BadValueError) as refused:
            values.number("сумма", written)
        for word in ["сумма", written, *readings]:
            assert word in refused.value.reason

    @pytest.mark.parametrize(
        "written",
        [
            "",
            "много",
            "1 25",
            "12 34 567",
            "1,25,000",
            "1_000",
            "١٢",
            "nan",
            "inf",
            "1e999",
            "1e-999",
            "--1",
            "1 000,000,5",
            *(True, None, [1], {"a": 1}, "0.12345678901234567890", "9" * 500),
        ],
    )
    def test_that_is_none_or_cannot_be_kept_is_refused_by_name(self, written: Any) -> None:
        with pytest.raises(values.BadValueError, match="сумма"):
            values.number("сумма", written)

    @given(st.integers(-(10**60), 10**60), st.booleans())
    def test_that_is_whole_is_kept_to_the_last_digit(self, number: int, as_text: bool) -> None:
        assert values.whole_number("номер", str(number) if as_text else number) == number

    @given(st.floats(allow_nan=False, allow_infinity=False), st.booleans())
    def test_that_is_a_double_is_kept_to_the_last_digit(self, number: float, as_text: bool) -> None:
        assert values.number("сумма", repr(number) if as_text else number) == number

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_that_is_a_double_is_a_whole_number_only_while_one_is_meant(self, number: float) -> None:
        if number.is_integer() and abs(number) < 2**53:
            assert values.whole_number("номер", number) == number
        else:
            with pytest.raises(values.BadValueError, match="номер"):
                values.whole_number("номер", number)

    @given(st.text(st.sampled_from("0123456789,. -+eE\N{NO-BREAK SPACE}"), max_size=14))
    def test_of_any_spelling_is_one_of_its_two_readings_or_refused(self, written: str) -> None:
        try:
            number = numbers.read(written)
        except numbers.NumberError:
            return
        digits = "".join(written.split()).replace("\N{NO-BREAK SPACE}", "")
        readings = {digits.replace(",", ""), digits.replace(",", "."), digits.replace(".", "").replace(",", ".")}
        assert Decimal(repr(number)) in {Decimal(each) for each in readings if is_decimal(each)}

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (125000.0, "125000"),
            (125000.5, "125000.5"),
            (1e22, "10000000000000000000000"),
            (1.5e-7, "0.00000015"),
            (-0.1, "-0.1"),
        ],
    )
    def test_is_shown_as_people_write_it(self, number: float, text: str) -> None:
        assert values.text(number) == text

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_is_shown_with_all_its_digits(self, number: float) -> None:
        assert float(values.text(number)) == number


@pytest.mark.parametrize("given", [2.0**53, 1e19, -5.0, 1.5])
def test_an_id_that_a_double_has_blurred_is_none(given: float) -> None:
    assert values.as_identifier(given) is None


class TestDays:
    @pytest.mark.parametrize(
        ("given", "zone", "day"),
        [
            # Moscow's midnight as an engine in UTC sends it.
            ("2026-12-01T21:00:00.000+0000", MOSCOW, "2026-12-02"),
            ("2026-12-02T00:00:00.000+0300", MOSCOW, "2026-12-02"),
            ("2026-12-01T20:59:59.999Z", MOSCOW, "2026-12-01"),
            ("2026-12-02T09:59:59Z", HONOLULU, "2026-12-01"),
            ("2026-12-01", MOSCOW, "2026-12-01"),
            ("2026-12-01T23:30:00", MOSCOW, "2026-12-01"),
            ("2026-12-01T00:00:00+03:00[Europe/Moscow]", MOSCOW, "2026-12-01"),
            # Berlin's midnights around both changes of the clock (29 March and 25 October 2026).
            ("2026-03-28T23:00:00Z", BERLIN, "2026-03-29"),
            ("2026-03-29T22:00:00Z", BERLIN, "2026-03-30"),
            ("2026-03-29T21:59:59Z", BERLIN, "2026-03-29"),
            ("2026-10-24T22:00:00Z", BERLIN, "2026-10-25"),
            ("2026-10-25T22:59:59Z", BERLIN, "2026-10-25"),
            ("2026-10-25T23:00:00Z", BERLIN, "2026-10-26"),
            ("2026-03-29T02:30:00", BERLIN, "2026-03-29"),  # an hour that the clocks leave out
            ("2026-10-25T02:30:00", BERLIN, "2026-10-25"),  # and one that they show twice
        ],
    )
    def test_is_the_one_that_the_calendar_of_the_zone_shows(self, given: str, zone: ZoneInfo, day: str) -> None:
        assert values.day("срок", given, zone) == day

    @given(
        st.dates(date(1980, 1, 1), date(2090, 1, 1)),
        st.sampled_from([MOSCOW, BERLIN, HONOLULU, ZoneInfo("Asia/Kathmandu")]),
    )
    def test_of_a_noon_is_that_day_whatever_offset_it_was_sent_with(self, day: date, zone: ZoneInfo) -> None:
        noon = datetime.combine(day, time(12), zone)
        for sent in (noon, noon.astimezone(UTC), noon.astimezone(HONOLULU)):
            assert values.day("срок", sent.isoformat(), zone) == day.isoformat()


def is_decimal(text: str) -> bool:
    try:
        Decimal(text)
    except ArithmeticError:
        return False
    return True
