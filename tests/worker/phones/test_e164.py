import pytest

from worker.phones.e164 import begins_with_one_of, checked_number, checked_prefixes, split


@pytest.mark.parametrize("number", ["+15550100", "+4930123456", "+123456789012345"])
def test_a_number_is_taken_as_it_is(number: str) -> None:
    assert checked_number(number) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "15550177",
        "+05550100",
        "+1 555 0100",
        "+1-555",
        "+1234567890123456",
        "tel:+15550100",
        "+1555\n0100",
        "+1\u0665\u0665\u0665\u0660\u0661\u0660\u0660",
    ],
)
def test_what_is_no_number_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="no telephone number") as fault:
        checked_number(text)
    assert not text or text not in str(fault.value)


def test_only_beginnings_of_numbers_are_prefixes() -> None:
    assert split(checked_prefixes("+1415, +4930,")) == ["+1415", "+4930"]
    for text in ("+", "1415", "*", "+1415;+1"):
        with pytest.raises(ValueError, match="begins"):
            checked_prefixes(text)


def test_a_number_is_allowed_by_how_it_begins() -> None:
    assert begins_with_one_of("+14155550100", ["+4930", "+1415"])
    assert not begins_with_one_of("+19005550100", ["+4930", "+1415"])
    assert not begins_with_one_of("+14155550100", [])
