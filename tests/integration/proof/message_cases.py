"""Messages for a contract.

What belongs here: strategies for the bytes of messages. What does not: the records as JSON (`json_cases`).
"""

from __future__ import annotations

from dataclasses import dataclass

from contract_cases import contracts
from file_cases import OneContract, key_values, rows
from hypothesis import strategies as st
from json_cases import json_object


@dataclass(frozen=True)
class MessageCase(OneContract):
    """A contract and messages."""

    values: tuple[bytes, ...]


@st.composite
def message_cases(draw: st.DrawFn) -> MessageCase:
    """A contract and JSON messages for it, some of them broken."""
    contract = draw(contracts())
    header = {column.name: column.name for column in contract.source_columns}
    found = draw(rows(contract, draw(key_values(contract)), draw(st.sampled_from([0, 5, 30]))))
    values = [json_object(draw, contract, header, row).encode() for row in found]
    broken = draw(st.lists(st.sampled_from([b"{", b"7", b"[]", b"x", b"\xff{}"]), max_size=1))
    return MessageCase(contract, (*values, *broken))
