"""What the model sees of a commit: `CommitFeatures`, the first step of every trained pipeline.

What belongs here: the inputs, the features, and the care that none of them tells the answer. What does not: anything
that imports the project or MLflow. This module travels inside the saved model, by value, so that whoever loads the
model computes the same features without having this repository; it must import nothing that a service lacks.

The label is whether a commit is a merge. So the number of parents, the committer and the signature (the platform signs
what its merge button makes) are no inputs. And the subject line that git or the platform writes for a merge is
cut off, before anything is counted: what is left is what a person wrote.

Where that is nothing, no count of the text says anything but that the commit is a merge, however it is filled: 0 words,
or the branch's two, are a value that only merges have. So nobody learns from such commits (`has_text`; `examples`
leaves them out and counts them), and where one is to be judged, its text counts as the median of those that were
learnt from: the judgement then rests on its time and its author.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

# Here and not in the functions: a transformer has to be a class of scikit-learn's. No DAG file imports this module.
from sklearn.base import BaseEstimator, TransformerMixin  # noqa: TID253
from sklearn.utils.validation import check_is_fitted  # noqa: TID253

# Of the features: a model computes with the code of the process that reads it, which has to be that of its training.
# Raise it with every change that can change a number; a test compares this file's checksum with the one noted there.
VERSION = 1

# Name and pandas type of each input column; other columns are ignored. `authored_at` may also be naive, which means
# UTC, or ISO 8601 text; numbers may be missing. This is the contract with who calls the model.
INPUTS = {
    "message": "str",
    "authored_at": "datetime64[ns, UTC]",
    "author_email": "str",  # None where there is no address
    "comment_count": "float64",  # NaN where it is not known
    "author_commits_before": "float64",
    "hours_since_author_commit": "float64",  # NaN for an author's first commit
    "is_company_email": "bool",
}

TEXT_FEATURES = (
    "characters", "words", "lines", "subject_characters", "has_body", "references", "is_conventional",
)  # fmt: skip
FEATURES = (
    *TEXT_FEATURES,
    "hour_sin", "hour_cos", "weekday", "is_weekend", "is_business_hours",
    "is_company_email", "has_email", "is_bot", "commits_before", "is_first_commit", "hours_since_commit",
    "comments",
)  # fmt: skip

# An author's first commit comes as if after so long a pause; `is_first_commit` tells it from a real one.
_NO_COMMIT_HOURS = 365 * 24.0
_LARGEST = 1e9  # of a number that comes in: beyond is a mistake, and must not make an infinity
BUSINESS_HOURS = range(9, 17)  # the warehouse's own is in stg_commits.sql
# So many generated subjects are taken off one message; each costs a look at the whole text.
_MOST_SUBJECTS = 10

# What git, GitHub, GitLab, Bitbucket, Azure DevOps and merge bots write as a merge's subject; `title` is a person's
# text that goes on in the same line. Callers send any text, of any length: each pattern here and below has to be
# linear, so no repetition may begin at every place of a text and fail at its end, nor share characters with the next.
_QUOTED = r"['\"\u2018\u201c][^'\"\u2019\u201d]*['\"\u2019\u201d]"
_GENERATED_SUBJECTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"merge pull request #?\d+ (?:from|in) \S.*",
        r"merge pull request #?\d+[:\s]*(?P<title>.*)",
        rf"merge (?:remote-tracking )?(?:branch|branches|tag|commit|remote)(?:es)? {_QUOTED}.*",
        r"merge (?:remote-tracking )?(?:branch|tag|commit) \S+(?: (?:into|of|from|to) \S+)?",
        rf"merge {_QUOTED}(?: (?:into|to) .*)?",
        r"merge [^\s:]+ (?:into|to) [^\s:]+",
        r"merged in \S+ \(pull request #\d+\).*",
        r"merged? pr #?\d+[:\s]*(?P<title>.*)",
        r"merge (?:[\w./-]+)?[#!]\d+[:\s]*(?P<title>.*)",
        r"auto(?:matic)? merge of #\d+ - [^\s,].*",
    )
)
# Further lines that only a merge has, and no person wrote.
_GENERATED_LINES = re.compile(
    r"^(?:see merge request \S+|approved-by: .*|(?:#[ \t]*)?conflicts:[^\n]*(?:\n(?:#?[ \t]+\S[^\n]*|#))*)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_REFERENCE = re.compile(r"(?<![\w&])(?:#|gh-)\d+\b|\b[A-Z][A-Z0-9]{1,9}-\d+\b")
_CONVENTIONAL = re.compile(
    r"(?:build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test)(?:\([^)]*\))?!?: \S", re.IGNORECASE
)


class CommitFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns the columns of `INPUTS` into the numbers of `FEATURES`: always finite, whatever text comes in.

    It learns one thing from the data: what text counts for a commit that has none.
    """

    def fit(self, inputs: pd.DataFrame, labels: object = None) -> CommitFeatures:  # noqa: ARG002 - scikit-learn's form
        """Remember the median of each text feature, of the commits with a text.

        Raises:
            ValueError: a column is missing.
        """
        _check(inputs)
        texts = _texts(inputs["message"])
        rows = _text_rows([text for text in texts if text])
        # Of two in the middle the lower one: half a body would be a value that no commit with a text has.
        middle = np.quantile(rows, 0.5, axis=0, method="lower") if len(rows) else np.zeros(len(TEXT_FEATURES))
        self.text_medians_ = np.asarray(middle, dtype=np.float64)
        self.version_ = VERSION
        return self

    def __setstate__(self, state: dict[str, object]) -> None:
        """Take the state of a saved model.

        Raises:
            ValueError: it was trained with another version of the features.
        """
        found = state.get("version_", VERSION)
        if found != VERSION:
            raise ValueError(f"trained with version {found} of the features, and this code computes version {VERSION}")
        super().__setstate__(state)

    def transform(self, inputs: pd.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """One row of features for each row of inputs.

        Raises:
            ValueError: a column is missing, or nothing was learnt before.
        """
        _check(inputs)
        check_is_fitted(self)
        texts = _texts(inputs["message"])
        rows = _text_rows(texts)
        rows[[not text for text in texts]] = self.text_medians_
        columns: dict[str, object] = dict(zip(TEXT_FEATURES, rows.T, strict=True))
        columns |= _time_features(inputs["authored_at"])
        columns |= _author_features(inputs)
        columns["comments"] = np.log1p(_number(inputs["comment_count"], missing=0.0))
        return np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in FEATURES])

    def get_feature_names_out(self, names: object = None) -> np.ndarray[tuple[int], np.dtype[np.object_]]:  # noqa: ARG002
        """The names of the features, in their order."""
        return np.asarray(FEATURES, dtype=object)


def has_text(messages: pd.Series) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each message, whether a person wrote anything of it; a branch's name in a generated subject is nothing."""
    return np.asarray([bool(text) for text in _texts(messages)], dtype=np.bool_)


def chosen_text(message: str) -> str:
    """What a person wrote of a message: without the subject and the lines that are generated for a merge.

    Empty if that is nothing.
    """
    text = _GENERATED_LINES.sub("", message).strip()
    for _ in range(_MOST_SUBJECTS):
        subject, _, body = text.partition("\n")
        found = next(filter(None, (pattern.fullmatch(subject.strip()) for pattern in _GENERATED_SUBJECTS)), None)
        if found is None:
            break
        title = (found.groupdict().get("title") or "").strip()
        text = f"{title}\n{body}".strip() if title else body.strip()
    return text


def _check(inputs: pd.DataFrame) -> None:
    if missing := [name for name in INPUTS if name not in inputs.columns]:
        raise ValueError(f"The commits lack the columns {', '.join(missing)}.")


def _texts(messages: pd.Series) -> list[str]:
    return [chosen_text(message) if isinstance(message, str) else "" for message in messages]


def _text_rows(texts: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """One row of `TEXT_FEATURES` for each text."""
    subjects = [text.partition("\n")[0] for text in texts]
    columns: dict[str, object] = {
        "characters": np.log1p([len(text) for text in texts]),
        "words": np.log1p([len(text.split()) for text in texts]),
        "lines": np.log1p([len(text.splitlines()) for text in texts]),
        "subject_characters": [min(len(subject), 200) for subject in subjects],
        "has_body": ["\n" in text for text in texts],
        "references": [min(len(_REFERENCE.findall(text)), 20) for text in texts],
        "is_conventional": [bool(_CONVENTIONAL.match(subject)) for subject in subjects],
    }
    return np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in TEXT_FEATURES])


def _time_features(moments: pd.Series) -> dict[str, object]:
    """In UTC: the API does not tell the author's own clock. A time that cannot be read is a Monday's midnight."""
    times = pd.to_datetime(moments, utc=True, errors="coerce", format=_format(moments))
    weekday = times.dt.day_of_week.fillna(0).to_numpy(dtype=np.float64)
    whole_hour = times.dt.hour.fillna(0).to_numpy(dtype=np.float64)
    hour = whole_hour + times.dt.minute.fillna(0).to_numpy(dtype=np.float64) / 60
    is_weekend = weekday >= 5
    return {
        "hour_sin": np.sin(2 * np.pi * hour / 24),
        "hour_cos": np.cos(2 * np.pi * hour / 24),
        "weekday": weekday,
        "is_weekend": is_weekend,
        "is_business_hours": np.isin(whole_hour, BUSINESS_HOURS) & ~is_weekend,
    }


def _format(moments: pd.Series) -> str | None:
    """Texts may have fractions of a second or not, row by row."""
    return None if pd.api.types.is_datetime64_any_dtype(moments) else "ISO8601"


def _author_features(inputs: pd.DataFrame) -> dict[str, object]:
    addresses = [email.lower() if isinstance(email, str) else "" for email in inputs["author_email"]]
    before = _number(inputs["author_commits_before"], missing=0.0)
    return {
        "is_company_email": [value is True or value == 1 for value in inputs["is_company_email"].astype(object)],
        "has_email": ["@" in address for address in addresses],
        "is_bot": ["[bot]" in address or address.partition("@")[0].endswith("bot") for address in addresses],
        "commits_before": np.log1p(before),
        "is_first_commit": before < 1,
        "hours_since_commit": np.log1p(_number(inputs["hours_since_author_commit"], missing=_NO_COMMIT_HOURS)),
    }


def _number(values: pd.Series, *, missing: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    finite = np.nan_to_num(numbers, nan=missing, posinf=_LARGEST, neginf=0.0)
    return np.asarray(np.clip(finite, 0.0, _LARGEST), dtype=np.float64)
