"""A memo gives what its function gives, and never holds more than it may."""

from logship.memo import Memo, texts


def test_a_memo_asks_once_for_each_key() -> None:
    """The second time nobody is called."""
    asked: list[str] = []

    def upper(text: str) -> str:
        asked.append(text)
        return text.upper()

    memo = Memo(upper, 10)
    assert [memo["a"], memo["b"], memo["a"]] == ["A", "B", "A"]
    assert asked == ["a", "b"]


def test_a_full_memo_forgets_everything_and_goes_on() -> None:
    """Strangers with a new value for each request cost no memory."""
    memo = Memo(str, 8)
    for number in range(1000):
        assert memo[number] == str(number)
        assert len(memo) <= 8


def test_a_long_text_is_answered_and_not_kept() -> None:
    """A line can hold a megabyte; it is asked about once."""
    memo = texts(len, 10, longest=5)
    assert [memo["x" * 5], memo["x" * 1_000_000]] == [5, 1_000_000]
    assert list(memo) == ["xxxxx"]
