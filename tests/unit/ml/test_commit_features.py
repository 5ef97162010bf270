"""The features: their values, that they never fail, and that none of them reveals whether a commit is a merge."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st
from sample_commits import sample_commits
from sklearn.metrics import roc_auc_score  # noqa: TID253 - this is not a DAG file

from include.ml import commit_features
from include.ml.commit_features import BUSINESS_HOURS, FEATURES, INPUTS, CommitFeatures, has_text, personal_text
from include.ml.examples import with_text
from include.ml.training import cross_validated
from include.settings import TrainingSettings

pytestmark = pytest.mark.unit

ORDINARY: dict[str, Any] = {
    "message": "Move the totals",
    "authored_at": "2026-03-02T09:30:00Z",  # a Monday
    "author_email": "ada@example.com",
    "comment_count": 0.0,
    "author_commits_before": 3.0,
    "hours_since_author_commit": 5.0,
    "is_company_email": True,
}


def commit(**changes: object) -> pd.DataFrame:
    return pd.DataFrame([ORDINARY | changes])


def fitted() -> CommitFeatures:
    texts = ("Move", "Move the totals", "Move the order of the prices #3 #4")
    return CommitFeatures().fit(pd.concat([commit(message=text) for text in texts]))


def features(frame: pd.DataFrame) -> dict[str, float]:
    return dict(zip(FEATURES, fitted().transform(frame)[0], strict=True))


# Values


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("Move it", {"words": 2, "lines": 1, "characters": 7, "has_body": 0, "references": 0}, id="short"),
        pytest.param("Move it\n\nIt was wrong.", {"words": 5, "lines": 3, "has_body": 1}, id="body"),
        pytest.param("Move it\n\nFixes #12, see GH-7 and ABC-3", {"references": 3}, id="references"),
        pytest.param("Take C#7 and &#39; as they are", {"references": 0}, id="no-references"),
        pytest.param("fix(api)!: move it", {"is_conventional": 1}, id="conventional"),
        pytest.param("fixed: move it", {"is_conventional": 0}, id="not-conventional"),
    ],
)
def test_text_is_counted(message: str, expected: dict[str, float]) -> None:
    found = features(commit(message=message))
    for name in ("words", "lines", "characters"):
        found[name] = round(np.expm1(found[name]))
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param("2026-03-02T09:30:00Z", (0, 0, 1), id="monday-morning"),
        pytest.param("2026-03-02T08:59:59Z", (0, 0, 0), id="before-work"),
        pytest.param("2026-03-02T16:59:59Z", (0, 0, 1), id="end-of-work"),
        pytest.param("2026-03-02T17:00:00Z", (0, 0, 0), id="after-work"),
        pytest.param("2026-03-07T09:30:00Z", (5, 1, 0), id="saturday"),
        pytest.param("2026-03-08T23:30:00-02:00", (0, 0, 0), id="sunday-there-monday-in-utc"),
    ],
)
def test_time_features_are_in_utc(moment: str, expected: tuple[float, ...]) -> None:
    found = features(commit(authored_at=moment))
    assert tuple(found[name] for name in ("weekday", "is_weekend", "is_business_hours")) == expected


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(pd.to_datetime(["2026-03-02T09:30:00Z"], utc=True), id="with-a-zone"),
        pytest.param(pd.to_datetime(["2026-03-02T09:30:00"]), id="naive"),
        pytest.param(["2026-03-02T09:30:00.000Z"], id="text"),
        pytest.param(pd.to_datetime(["2026-03-02T10:30:00+01:00"]), id="another-zone"),
    ],
)
def test_times_may_have_several_formats(moments: object) -> None:
    assert features(commit().assign(authored_at=moments)) == features(commit())


def test_hours_around_midnight_are_close() -> None:
    late, early = (
        features(commit(authored_at="2026-03-02T23:59:00Z")),
        features(commit(authored_at="2026-03-03T00:01Z")),
    )
    assert abs(late["hour_sin"] - early["hour_sin"]) < 0.02
    assert abs(late["hour_cos"] - early["hour_cos"]) < 0.02


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"author_commits_before": 0.0}, {"is_first_commit": 1}, id="first-commit"),
        pytest.param({}, {"is_first_commit": 0, "has_email": 1, "is_bot": 0, "is_company_email": 1}, id="ordinary"),
        pytest.param({"author_email": None}, {"has_email": 0}, id="no-address"),
        pytest.param({"author_email": "1+Bump[bot]@x.example"}, {"is_bot": 1}, id="bot"),
        pytest.param({"is_company_email": None}, {"is_company_email": 0}, id="company-not-known"),
        pytest.param({"hours_since_author_commit": np.nan}, {"hours_since_commit": np.log1p(8760)}, id="no-pause"),
        pytest.param({"comment_count": np.nan}, {"comments": 0}, id="comments-not-known"),
    ],
)
def test_authors_and_comments(changes: dict[str, object], expected: dict[str, float]) -> None:
    found = features(commit(**changes))
    assert {name: found[name] for name in expected} == expected


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="lack the columns comment_count, is_company_email"):
        fitted().transform(commit().drop(columns=["comment_count", "is_company_email"]))


def test_names_belong_to_the_columns() -> None:
    assert list(CommitFeatures().fit(commit()).get_feature_names_out()) == list(FEATURES)
    assert fitted().transform(commit()).shape == (1, len(FEATURES))


def test_transform_before_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="not fitted"):
        CommitFeatures().transform(commit())


ANY_NUMBER = st.none() | st.floats() | st.integers(-(2**70), 2**70).map(float)


@tries(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "message": st.none() | st.text() | st.text(alphabet="\n Mergefrom#12'/\r-\0"),
                "authored_at": st.none() | st.datetimes().map(str) | st.text(max_size=30),
                "author_email": st.none() | st.text(),
                "comment_count": ANY_NUMBER,
                "author_commits_before": ANY_NUMBER,
                "hours_since_author_commit": ANY_NUMBER,
                "is_company_email": st.none() | st.booleans(),
            }
        ),
        max_size=3,
    )
)
def test_any_input_gives_finite_numbers(commits: list[dict[str, object]]) -> None:
    inputs = pd.DataFrame(commits, columns=list(INPUTS))
    for found in (fitted().transform(inputs), CommitFeatures().fit(inputs).transform(inputs)):
        assert found.shape == (len(commits), len(FEATURES))
        assert np.isfinite(found).all()


# Each piece is repeated to the maximum length of a message, and to a shorter one after each start of a pattern.
_PIECES = (
    "\n", " ", "\t", "#", "'", '"', "/", ":", "(", "-", "a", "A", "1", " \n", "#\n", "# \n", "\n#\ta", "\u00a0", "\r",
    "Merge ", "merge #1 ", "merge #1\n", "merge ''\n", "merge a into ", "merge branch 'x'\n", "merged pr 1 ",
    "merge !1:", "conflicts:\n", "conflicts:\n\ta\n", "see merge request a ", "approved-by: \n", "A1-1", "gh-1", "fix(",
)  # fmt: skip
_HEADS = ("", "merge ", "merge branch '", "conflicts:\n", "merge pull request #", "auto merge of #1 - ", "fix(", "AB-")


def test_long_texts_do_not_stop_the_service() -> None:
    """Run in a separate process, which is killed if a pattern is not linear: `re` blocks all threads of a process."""
    script = (
        "import sys, pandas as pd\n"
        "from include.ml.commit_features import INPUTS, CommitFeatures\n"
        "heads, pieces = eval(sys.stdin.read())\n"
        "def commits(messages):\n"
        "    return pd.DataFrame({'message': messages}).reindex(columns=list(INPUTS))\n"
        "known = CommitFeatures().fit(commits(['Move it']))\n"
        "for head in heads:\n"
        "    size = 50_000 if head else 500_000\n"
        "    texts = [(head + piece * (size // len(piece) + 1))[:size - 1] + 'x' for piece in pieces]\n"
        "    print(head, known.transform(commits(texts)).shape[0])\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], input=repr((_HEADS, _PIECES)), capture_output=True, text=True, timeout=30,
        check=False, cwd=Path(commit_features.__file__).parents[2],
    )  # fmt: skip
    assert answer.stdout.count(str(len(_PIECES))) == len(_HEADS), answer.stderr[-2000:]


# No feature reveals the label


@pytest.mark.parametrize(
    ("message", "personal"),
    [
        pytest.param("Merge pull request #12 from ada/fix-login", "", id="github-no-title"),
        pytest.param(
            "Merge pull request #12 from ada/fix-login\n\nMove it\n\nAt last", "Move it\n\nAt last", id="github"
        ),
        pytest.param(
            "Merge pull request #12 in P/repo from fix/x to main\n\nMove it", "Move it", id="bitbucket-server"
        ),
        pytest.param("Merge branch 'fix_login' into main", "", id="branch"),
        pytest.param("Merge branch 'main' of https://git.example/a/b into x", "", id="pulled-branch"),
        pytest.param("Merge branches 'one' and 'two'", "", id="octopus"),
        pytest.param("Merge remote-tracking branch 'origin/dev'", "", id="remote-branch"),
        pytest.param("Merge tag 'v1.2' into main", "", id="tag"),
        pytest.param("Merge commit 'abc123'", "", id="commit"),
        pytest.param("Merge dev into main", "", id="by-hand"),
        pytest.param("Merged in feat/x (pull request #4)\n\nApproved-by: Ada", "", id="bitbucket"),
        pytest.param("Merged PR 12: Move it", "Move it", id="azure"),
        pytest.param("Merge #12: Move it\n\nAt last", "Move it\n\nAt last", id="bors"),
        pytest.param("Auto merge of #12 - ada:fix-x, r=bob\n\nMove it", "Move it", id="homu"),
        pytest.param("Merge branch 'x' into 'y'\n\nMove it\n\nSee merge request a/b!7", "Move it", id="gitlab"),
        pytest.param("Merge branch 'x'\n\n# Conflicts:\n#\ta.py\n#\tb.py", "", id="conflicts"),
        pytest.param("Merge branch 'x'\n\nConflicts:\n\ta.py\n\nMove it", "Move it", id="old-conflicts"),
        pytest.param("Merge branch 'x' into y\n\nMerge branch 'z' into x", "", id="merge-of-a-merge"),
        pytest.param("Merge branch 'x'\n\nconflicts:\n\ta.py", "", id="conflicts-alone"),
        pytest.param("", "", id="empty"),
        pytest.param("Merge equal rows before loading", "Merge equal rows before loading", id="a-persons-own-word"),
        pytest.param("Move it\n\nMerge branch 'x'", "Move it\n\nMerge branch 'x'", id="only-the-subject"),
    ],
)
def test_generated_text_of_a_merge_is_removed(message: str, personal: str) -> None:
    assert personal_text(message) == personal
    assert has_text(pd.Series([message])).tolist() == [personal != ""]


@pytest.mark.parametrize("subject", ["Merge #1 ", "Merge #1\n"], ids=["in-a-line", "line-by-line"])
def test_number_of_removed_subjects_is_limited(subject: str) -> None:
    """Each removal scans the whole text, so their number must not grow with its length."""
    assert personal_text(subject * 9 + "Move it") == "Move it"
    assert personal_text(subject * 500 + "Move it").count("Merge") > 450


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("Merge branch 'main'", id="merge"),
        pytest.param("Merge pull request #1 from ada/release-26-03", id="pull-request"),
        pytest.param("Merge branch 'x'\n\n# Conflicts:\n#\ta.py", id="conflicts"),
        pytest.param("", id="empty"),
        pytest.param(" \n ", id="blank"),
        pytest.param(None, id="none"),
    ],
)
def test_without_a_text_a_commit_looks_like_the_usual_one(message: str | None) -> None:
    assert features(commit(message=message)) == features(commit(message="Move the totals"))


def test_medians_are_fitted_on_commits_with_text() -> None:
    known = CommitFeatures().fit(
        pd.concat([commit(message=text) for text in ("Move it\n\nNow", "Move that\n\nNow", *["Merge branch 'x'"] * 9)])
    )
    found = dict(zip(FEATURES, known.transform(commit(message=""))[0], strict=True))
    assert (found["has_body"], round(np.expm1(found["words"]))) == (1, 3)


WORDS = st.lists(st.from_regex(r"[A-Za-z0-9#.,]{1,12}", fullmatch=True), min_size=1, max_size=6).map(" ".join)
MESSAGES = st.lists(WORDS, min_size=1, max_size=4).map("\n\n".join)


@tries(deadline=None)
@given(MESSAGES.filter(lambda text: not text.lower().startswith(("merge", "auto"))))
def test_the_line_of_a_merge_changes_no_feature(message: str) -> None:
    merged = f"Merge pull request #1 from a/b\n\n{message}"
    assert features(commit(message=merged)) == features(commit(message=message))


@pytest.mark.parametrize("column", ["is_merge", "parent_count", "is_verified", "committer_name", "label", "sha"])
def test_values_that_reveal_the_label_are_no_input(column: str) -> None:
    assert column not in INPUTS
    assert features(commit(**{column: 0})) == features(commit(**{column: 2}))


def test_no_feature_is_called_after_the_label() -> None:
    assert not [name for name in FEATURES if "merge" in name or "parent" in name]


def test_no_single_feature_separates_merges_from_others() -> None:
    history = with_text(sample_commits(2000))
    columns = CommitFeatures().fit_transform(history).T
    areas = {name: roc_auc_score(history["is_merge"], values) for name, values in zip(FEATURES, columns, strict=True)}
    best = {name: max(area, 1 - area) for name, area in areas.items()}
    table = "\n".join(f"{name:20} {area:.3f}" for name, area in sorted(best.items(), key=lambda pair: -pair[1]))
    assert max(best.values()) < 0.9, table


def pure_ranges(frame: pd.DataFrame, least: int = 20) -> list[str]:
    """Return single values and ends of feature ranges that at least `least` commits have, all of them merges.

    The area under the ROC curve cannot show them: a feature may reveal the label only in one range.
    """
    merges, found = frame["is_merge"].to_numpy(), []
    for name, values in zip(FEATURES, CommitFeatures().fit_transform(frame).T, strict=True):
        ordered = np.sort(values)
        ranges = {f"{name} <= {ordered[least - 1]:.4g}": values <= ordered[least - 1]}
        ranges |= {f"{name} >= {ordered[-least]:.4g}": values >= ordered[-least]}
        ranges |= {f"{name} == {value:.4g}": values == value for value in np.unique(values)}
        found += [text for text, held in ranges.items() if held.sum() >= least and merges[held].all()]
    return found


def test_no_range_of_a_feature_contains_only_merges() -> None:
    history = sample_commits(2000)
    assert (~has_text(history["message"])).sum() > 50, "the history has too few commits without text"
    assert pure_ranges(with_text(history)) == []


def test_a_range_of_only_merges_is_detected() -> None:
    history = with_text(sample_commits(2000))
    merge = history["is_merge"] & (history.groupby("is_merge").cumcount() < 20)
    history["message"] = history["message"].where(~merge, "main")
    assert any(text.startswith("words") for text in pure_ranges(history))


def test_business_hours_match_the_warehouse() -> None:
    model = Path(commit_features.__file__).parents[2] / "dbt/models/staging/stg_commits.sql"
    found = re.search(r"hour\w* BETWEEN (\d+) AND (\d+) AS is_business_hours", model.read_text())
    assert found is not None
    first, last = map(int, found.groups())
    assert range(first, last + 1) == BUSINESS_HOURS


def test_shuffled_labels_cannot_be_learnt() -> None:
    history = with_text(sample_commits(700))
    history["is_merge"] = history["is_merge"].sample(frac=1, random_state=1).to_numpy()
    found = cross_validated(history, TrainingSettings(trees=30, folds=3))
    assert 0.42 < found["cv_roc_auc_mean"] < 0.58


# Loading in the ML service


def test_a_model_loads_with_only_the_modules_of_the_service_image(tmp_path: Path) -> None:
    """The Dockerfile of the service copies only these files of the project."""
    import skops.io

    root = Path(commit_features.__file__).parents[2]
    docker = (root / "ml_api" / "Dockerfile").read_text()
    for name in re.findall(r"include/\S+\.py", docker):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "model").mkdir()
    skops.io.dump(fitted(), tmp_path / "model" / "model.skops")
    commit(message="Merge branch 'x'").to_parquet(tmp_path / "commit.parquet")
    script = (
        "import sys, pandas as pd\n"
        "from pathlib import Path\n"
        "from include.ml import model_file\n"
        "rows = model_file.load(Path('model')).transform(pd.read_parquet('commit.parquet'))\n"
        "print(rows.shape[1], sorted(name for name in sys.modules if name.startswith('include')))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    names = ["include", "include.ml", "include.ml.commit_features", "include.ml.model_file"]
    assert answer.stdout.strip() == f"{len(FEATURES)} {names}", answer.stderr


def test_changed_values_require_a_new_version() -> None:
    """A loaded model runs the code of the loading process, which must match that of its training.

    If this fails, increase VERSION in the module, and change both values here.
    """
    commits = sample_commits(400)
    numbers = CommitFeatures().fit(commits).transform(commits).round(6) + 0.0  # no negative zeros
    assert (commit_features.VERSION, hashlib.sha256(numbers.tobytes()).hexdigest()[:16]) == (1, "ff8a3d5f948e77fd")
