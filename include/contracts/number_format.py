"""How a text table writes numbers: its decimal mark, its thousands separator, and where a minus may be.

What belongs here: which texts are numbers, and their usual spelling with a point and without separators. What does
not: reading the usual spelling (`type_sql`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written. The defaults are those of JSON and of most software: 1234.56."""

    decimal: str = "."
    thousands: str | None = None
    trailing_minus: bool = False

    @property
    def is_usual(self) -> bool:
        """Whether every number already has the usual spelling."""
        return self == NumberFormat()

    @property
    def has_several_spellings(self) -> bool:
        """Whether a whole number may have other characters than digits and a sign before them."""
        return self.thousands is not None or self.trailing_minus

    @property
    def pattern(self) -> str:
        """A regular expression (RE2) for the whole text of a number, blanks at its ends removed.

        With separators, groups have three digits and the first one does not begin with 0: else 0.123 would be 123.
        A number with separators has no exponent.
        """
        mark = f"[{self.decimal}]"
        forms = [rf"([0-9]+{mark}?[0-9]*|{mark}[0-9]+)([eE][+-]?[0-9]+)?"]
        if self.thousands:
            forms.append(rf"[1-9][0-9]{{0,2}}([{self.thousands}][0-9]{{3}})+({mark}[0-9]*)?")
        number = f"({'|'.join(forms)})"
        return f"([+-]?{number}|{number}-)" if self.trailing_minus else f"[+-]?{number}"

    @property
    def example(self) -> str:
        """A number written so, for messages."""
        return f"1{self.thousands or ''}234{self.decimal}50" + ("-" if self.trailing_minus else "")
