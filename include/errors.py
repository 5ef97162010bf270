"""The errors a stage may raise and the reason codes that users meet.

Bad data is a result, never an exception: the codes of cells, rows, messages and files travel in result records.
Exceptions are for what stops the work itself, and their type says whether a retry can help. Every message for a user
is on one line: see `visible`.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The stages a file passes through, in order."""

    CLAIM = "claim"
    VALIDATE = "validate"
    PROCESS = "process"
    LOAD = "load"
    SETTLE = "settle"


class Code(StrEnum):
    """Every reason why a row or a file is refused. Stable: reports, SQL and alerts build on the names."""

    # a cell
    MISSING_VALUE = "missing-value"
    BAD_INTEGER = "bad-integer"
    BAD_NUMBER = "bad-number"
    BAD_BOOLEAN = "bad-boolean"
    BAD_DATE = "bad-date"
    BAD_TIMESTAMP = "bad-timestamp"
    BAD_UUID = "bad-uuid"
    BAD_JSON = "bad-json"
    BAD_TEXT = "bad-text"
    OUT_OF_RANGE = "out-of-range"
    TOO_MANY_DECIMALS = "too-many-decimals"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    NOT_IN_LIST = "not-in-list"
    PATTERN_MISMATCH = "pattern-mismatch"
    # a row
    RULE_BROKEN = "rule-broken"
    DERIVATION_FAILED = "derivation-failed"
    TOO_MANY_FIELDS = "too-many-fields"
    TOO_FEW_FIELDS = "too-few-fields"
    BROKEN_QUOTE = "broken-quote"
    REPEATED_HEADER = "repeated-header"
    BAD_ROW_JSON = "bad-row-json"
    NOT_AN_OBJECT = "not-an-object"
    ROW_TOO_LONG = "row-too-long"
    ROW_TOO_WIDE = "row-too-wide"
    KEY_TOO_LONG = "key-too-long"
    BAD_ENCODING = "bad-encoding"
    CONFLICTING_DUPLICATE = "conflicting-duplicate"
    # a message
    EMPTY_MESSAGE = "empty-message"
    BAD_AVRO = "bad-avro"
    UNKNOWN_SCHEMA = "unknown-schema"
    MESSAGES_REMOVED = "messages-removed"
    # a file
    EMPTY_FILE = "empty-file"
    NO_ROWS = "no-rows"
    MISSING_COLUMNS = "missing-columns"
    UNKNOWN_COLUMNS = "unknown-columns"
    DUPLICATE_COLUMNS = "duplicate-columns"
    TOO_MANY_COLUMNS = "too-many-columns"
    UNKNOWN_FORMAT = "unknown-format"
    UNDECLARED_ENCODING = "undeclared-encoding"
    UNREADABLE_FILE = "unreadable-file"
    TRUNCATED_FILE = "truncated-file"
    TOO_LARGE = "too-large"
    ERROR_BUDGET_EXCEEDED = "error-budget-exceeded"
    EXPECTATION_FAILED = "expectation-failed"
    DUPLICATE_CONTENT = "duplicate-content"
    TABLE_DIFFERS = "table-differs"
    UNKNOWN_DATASET = "unknown-dataset"
    OBJECT_REPLACED = "object-replaced"
    OBJECT_VANISHED = "object-vanished"
    OBJECT_UNREADABLE = "object-unreadable"
    REPLACED_BEFORE_CLAIM = "replaced-before-claim"
    # the work itself
    CONTRACT_INVALID = "contract-invalid"
    WORKER_DIED = "worker-died"
    TARGET_LOCKED = "target-locked"
    WAITING_FOR_LOADER = "waiting-for-loader"
    EARLIER_FILE_WAITS = "earlier-file-waits"
    WAREHOUSE_UNAVAILABLE = "warehouse-unavailable"
    WAREHOUSE_REFUSED = "warehouse-refused"
    BUCKET_UNAVAILABLE = "bucket-unavailable"
    BUCKET_REFUSED = "bucket-refused"
    DISK_FULL = "disk-full"
    SERVICE_UNAVAILABLE = "service-unavailable"
    SERVICE_REFUSED = "service-refused"
    CIRCUIT_OPEN = "circuit-open"
    BROKER_UNAVAILABLE = "broker-unavailable"
    BROKER_REFUSED = "broker-refused"
    REGISTRY_UNAVAILABLE = "registry-unavailable"
    SOURCE_UNAVAILABLE = "source-unavailable"
    SOURCE_REFUSED = "source-refused"
    RATE_LIMITED = "rate-limited"
    TRACKING_UNAVAILABLE = "tracking-unavailable"
    TRACKING_REFUSED = "tracking-refused"
    MODEL_REFUSED = "model-refused"
    TOO_FEW_EXAMPLES = "too-few-examples"
    TRANSFORMATION_FAILED = "transformation-failed"
    QUALITY_CRITICAL = "quality-critical"
    INTERNAL = "internal"


class PipelineError(Exception):
    """Something stopped the work. `details` are values by name; they survive pickling and are shown sorted."""

    def __init__(self, stage: str, code: Code, message: str, **details: object) -> None:
        self.stage, self.code, self.message, self.details = stage, code, message, details
        super().__init__(stage, code, message, details)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.stage, self.code, self.message, self.details))

    def __str__(self) -> str:
        details = ", ".join(visible(f"{name}={value}") for name, value in sorted(self.details.items()))
        return f"{self.stage}: {self.code}: {self.message}" + (f" ({details})" if details else "")


class RetryableError(PipelineError):
    """The network, a lock, a throttle, a restart: the same call may succeed later."""


class PermanentError(PipelineError):
    """A contract, a setting, a permission: trying again changes nothing until a user or an operator fixes it."""


def _rebuild(
    kind: type[PipelineError], stage: str, code: Code, message: str, details: dict[str, object]
) -> PipelineError:
    return kind(stage, code, message, **details)


def visible(text: str) -> str:
    r"""The text on one line, with characters that cannot be printed as escapes, as in `a\r\nb` or `1\xa0000`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
