"""From bytes to typed rows, by format. `vectorised` is the fast path; `row_by_row`, the slow one, explains bad rows."""
