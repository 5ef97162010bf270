"""The spending categories, and the rule that chooses one for a transaction id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from uuid import UUID

Category = Literal[
    "groceries",
    "restaurants",
    "transport",
    "housing",
    "utilities",
    "health",
    "entertainment",
    "shopping",
    "travel",
    "education",
    "income",
    "transfers",
]

# Number and order are part of the rule: a change gives most transactions another category.
CATEGORIES: tuple[Category, ...] = get_args(Category)


def category_of(transaction_id: UUID) -> Category:
    """Return the category of a transaction: the same for the same id, in every process.

    The hash of a UUID is the hash of its integer. The hash of its text would depend on PYTHONHASHSEED.

    Args:
        transaction_id: as a UUID, never as text.
    """
    return CATEGORIES[hash(transaction_id) % len(CATEGORIES)]
