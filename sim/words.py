"""Words with a sentence: how something ended, for programs and for people; and words that are counted."""

from __future__ import annotations

from enum import Enum


class Word(str, Enum):
    """A word of a few, and a sentence that says what it means; written `SOLVED = "solved", "solutions were found"`."""

    about: str  # one line for people

    def __new__(cls, word: str, about: str = "") -> Word:
        member = str.__new__(cls, word)
        member._value_, member.about = word, about
        return member

    def __str__(self) -> str:
        return str(self.value)


def counted(count: int, what: str) -> str:
    """A number of things: "1 solution", "3 solutions"."""
    return f"{count} {what}{'s' * (count != 1)}"
