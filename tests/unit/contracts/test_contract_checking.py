"""Contracts are checked in a child with limits, once per content; one that exhausts it is refused alone."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.contracts import cache, check_parent, checked
from include.contracts.catalog import read_catalog
from include.contracts.codec import decoded, encoded
from include.contracts.model import Contract
from include.contracts.problems import ContractError
from include.contracts.reader import compile_contract, read_contract
from include.settings import CONTRACTS_DIR, IngestSettings
from tests.unit.contracts.test_contract_hostile import DERIVED, RULE, document

pytestmark = pytest.mark.unit

SALES = CONTRACTS_DIR / "sales.yaml"


@pytest.fixture(autouse=True)
def limit_by_cpu_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine the child may get its 5 seconds of CPU time after more than half a minute."""
    monkeypatch.setattr(check_parent, "WALL_SECONDS", 600.0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache's folder, which does not exist yet."""
    settings = IngestSettings(contracts_cache_dir=tmp_path / "cache")
    monkeypatch.setattr(checked, "ingest_settings", lambda: settings)
    return tmp_path / "cache"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the child is asked to check."""
    names: list[str] = []
    check = check_parent.ContractChecker.check

    def record(self: check_parent.ContractChecker, name: str, content: bytes) -> tuple[cache.Entry, bool]:
        names.append(name)
        return check(self, name, content)

    monkeypatch.setattr(check_parent.ContractChecker, "check", record)
    return names


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text.replace("name: x", f"name: {name}").replace("id: x", f"id: {name}"))
    return path


def nested(layer: Callable[[str, int], str], start: str, levels: int) -> str:
    for level in range(levels):
        start = layer(start, level)
    return start


EXPLOSIVE = {
    "array_to_string": nested(lambda inner, _: f"array_to_string([{inner}], ',')", "t", 32) + " = ''",
    "split_part": nested(lambda inner, _: f"split_part({inner}, ',', 1)", "t", 32) + " = ''",
    "nullif": nested(lambda inner, _: f"nullif({inner}, 'a')", "t", 32) + " = ''",
    "list_transform": f"len({nested(lambda e, i: f'list_transform([{e}], lambda a{i}: a{i})', 't', 34)}) > 0",
    "lambda in a lambda": f"len({nested(lambda e, i: f'list_transform([t], lambda a{i}: {e})', 't', 9)}) > 0",
    "list comprehension": f"len({nested(lambda e, i: f'[a{i} for a{i} in {e}]', '[n]', 34)}) > 0",
    "hex": nested(lambda inner, _: f"hex({inner})", "t", 34) + " = ''",
}


@pytest.mark.parametrize("expression", EXPLOSIVE.values(), ids=list(EXPLOSIVE))
@pytest.mark.usefixtures("folder")
def test_expression_of_exponential_cost_is_refused_alone(tmp_path: Path, expression: str) -> None:
    shutil.copy(SALES, tmp_path)
    write(tmp_path, "before", document())
    write(tmp_path, "explosive", document(rule=expression))
    write(tmp_path, "later", document())

    found = read_catalog(tmp_path)

    assert sorted(found.contracts) == ["before", "later", "sales"]
    (error,) = found.broken
    assert error.file.name == "explosive.yaml"
    assert [problem.path for problem in error.problems] == [RULE], error.problems


@pytest.mark.usefixtures("folder")
def test_derived_column_that_exhausts_the_child_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_memory(tmp_path, monkeypatch, megabytes=8192)  # else a fast machine exceeds this limit first
    monkeypatch.setattr(check_parent, "_checkers", {})
    path = write(tmp_path, "x", document(derived=EXPLOSIVE["array_to_string"].removesuffix(" = ''")))
    with pytest.raises(ContractError, match="more than 5 seconds of CPU time") as caught:
        read_contract(path)
    assert [problem.path for problem in caught.value.problems] == [DERIVED]


def test_contract_that_takes_too_long_is_refused_and_checked_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    path = write(tmp_path, "x", document(rule=EXPLOSIVE["array_to_string"]))
    monkeypatch.setattr(check_parent, "WALL_SECONDS", 0.5)
    for _ in range(2):
        with pytest.raises(ContractError, match="checking it took too long"):
            read_contract(path)
    assert asked == ["x.yaml", "x.yaml"]
    assert not folder.exists()


def test_memory_of_the_child_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is below what the child needs at its start: each contract is refused, and nothing hangs."""
    limit_memory(tmp_path, monkeypatch, megabytes=-64)
    entry, lasting = check_alone("sales.yaml", SALES.read_bytes())
    assert lasting
    assert "memory" in entry["problems"][0][1].lower() or "ended the process" in entry["problems"][0][1]


@pytest.mark.parametrize("rule", ["array_to_string", "split_part", "nullif"])
def test_expression_that_uses_up_the_memory_is_named_and_no_later_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    """The derived column is checked after the rule and would use up the CPU time that the rule has left."""
    limit_memory(tmp_path, monkeypatch, megabytes=60)
    content = document(rule=EXPLOSIVE[rule], derived=EXPLOSIVE["array_to_string"].removesuffix(" = ''"))
    entry, lasting = check_alone("x.yaml", content.encode())
    assert lasting
    [problem] = entry["problems"]  # native code without memory may end the process itself
    assert problem[0] == RULE
    assert "more than 512 MB of memory" in problem[1]


def limit_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, megabytes: int) -> None:
    """Give the child this much memory beyond what it has at its start."""
    check_child = Path(check_parent.__file__).with_name("check_child.py").read_text()
    assert "_limit(resource.RLIMIT_AS, _address_space() + MEMORY_BYTES)" in check_child
    root = tmp_path / "copy"
    shutil.copytree(CONTRACTS_DIR.parent / "include", root / "include")
    changed = check_child.replace("MEMORY_BYTES = 512 * 1024**2", f"MEMORY_BYTES = {megabytes} * 1024**2")
    (root / "include" / "contracts" / "check_child.py").write_text(changed)
    monkeypatch.setattr(check_parent, "_ROOT", root)


def check_alone(name: str, content: bytes) -> tuple[cache.Entry, bool]:
    """What a checker of its own answers."""
    checker = check_parent.ContractChecker()
    try:
        return checker.check(name, content)
    finally:
        checker.close()


def test_refusals_are_cached_too(tmp_path: Path, folder: Path, asked: list[str]) -> None:
    path = write(tmp_path, "x", document(rule="no_such > 1"))
    for _ in range(2):
        with pytest.raises(ContractError, match="there is no column 'no_such'"):
            read_contract(path)
    assert asked == ["x.yaml"]
    assert len(list(folder.iterdir())) == 1


def test_content_is_checked_once_and_again_after_a_change(tmp_path: Path, folder: Path, asked: list[str]) -> None:
    path = tmp_path / "sales.yaml"
    shutil.copy(SALES, path)
    first = read_contract(path)
    assert read_contract(path) == first
    assert asked == ["sales.yaml"]
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    path.write_text(SALES.read_text() + "\n# changed\n")
    assert read_contract(path) == first
    assert asked == ["sales.yaml"] * 2


def test_other_code_or_duckdb_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.content_key("sales.yaml", b"x")
    assert cache.content_key("other.yaml", b"x") != before
    cache.code_fingerprint.cache_clear()
    monkeypatch.setattr(cache, "version", lambda package: "0" if package == "duckdb" else "1")
    try:
        assert cache.content_key("sales.yaml", b"x") != before
    finally:
        cache.code_fingerprint.cache_clear()


def garbage(entry: Path) -> None:
    entry.write_bytes(b'{"contract": {"dataset"')


def nonsense(entry: Path) -> None:
    entry.write_text(json.dumps({"key": entry.stem, "contract": {"dataset": "sales", "no_such_field": 1}}))


def another_key(entry: Path) -> None:
    entry.write_text(entry.read_text().replace(entry.stem, "0" * 64))


def readable_by_all(entry: Path) -> None:
    entry.write_text(json.dumps({"key": entry.stem, "problems": [["", "forged", "none"]]}))
    entry.chmod(0o644)


def link(entry: Path) -> None:
    real = entry.with_name("real")
    real.write_text(json.dumps({"key": entry.stem, "problems": [["", "forged", "none"]]}))
    real.chmod(0o600)
    entry.unlink()
    entry.symlink_to(real)


def pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def of_another_user(entry: Path) -> None:
    entry.write_text(json.dumps({"key": entry.stem, "problems": [["", "forged", "none"]]}))
    os.chown(entry, 65534, 65534)


def folder_open_to_all(entry: Path) -> None:
    entry.write_text(json.dumps({"key": entry.stem, "problems": [["", "forged", "none"]]}))
    entry.parent.chmod(0o777)


FOREIGN = [garbage, nonsense, another_key, readable_by_all, link, pipe, of_another_user, folder_open_to_all]


@pytest.mark.parametrize("damage", FOREIGN, ids=lambda damage: damage.__name__)
def test_unreadable_or_foreign_entry_is_ignored(folder: Path, asked: list[str], damage: Callable[[Path], None]) -> None:
    if damage is of_another_user and os.geteuid():
        pytest.skip("only root can give a file to another user")
    sound = read_contract(SALES)
    (entry,) = folder.iterdir()
    damage(entry)
    assert read_contract(SALES) == sound
    assert asked == ["sales.yaml"] * 2


def test_cache_that_cannot_be_written_is_not_used(folder: Path, asked: list[str]) -> None:
    folder.write_text("a file where the folder should be")
    assert read_contract(SALES).dataset == "sales"
    assert read_contract(SALES).dataset == "sales"
    assert asked == ["sales.yaml"] * 2
    assert folder.read_text() == "a file where the folder should be"


def test_concurrent_writers_leave_complete_entries(folder: Path) -> None:
    entry = {"problems": [["", "x" * 100_000, "none"]]}
    caches = [cache.ContractCache(folder) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            list(pool.map(lambda one: one.put("k", entry), caches))
            assert caches[0].get("k") == {**entry, "key": "k"}
    assert [path.name for path in folder.iterdir()] == ["k.json"]


def test_old_entries_are_removed(folder: Path) -> None:
    one = cache.ContractCache(folder)
    one.put("old", {"problems": []})
    os.utime(folder / "old.json", (0, 0))
    cache.ContractCache(folder).put("new", {"problems": []})
    assert [path.name for path in folder.iterdir()] == ["new.json"]


def test_idle_child_that_ended_is_started_again(folder: Path) -> None:
    checker = check_parent.ContractChecker()
    try:
        assert "contract" in checker.check("sales.yaml", SALES.read_bytes())[0]
        child = checker._child
        assert child is not None
        child._requests.close()  # the child ends when nothing more can come
        child._process.wait(30)
        assert "contract" in checker.check("sales.yaml", SALES.read_bytes())[0]
    finally:
        checker.close()


def test_child_has_no_password_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_INGEST_PASSWORD", "secret")
    checker = check_parent.ContractChecker()
    try:
        checker.check("sales.yaml", SALES.read_bytes())
        assert checker._child is not None
        environment = Path(f"/proc/{checker._child._process.pid}/environ").read_bytes()
    finally:
        checker.close()
    assert b"secret" not in environment


@pytest.mark.parametrize("path", sorted(CONTRACTS_DIR.glob("*.yaml")), ids=lambda path: path.stem)
def test_contract_is_the_same_after_json(path: Path) -> None:
    contract = compile_contract(path, path.read_bytes())
    assert decoded(json.loads(json.dumps(encoded(contract))), path) == contract
    assert isinstance(contract, Contract)


def test_interrupted_request_leaves_no_answer_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's import timeout raises wherever the process is, also between a request and its answer."""
    checker = check_parent.ContractChecker()
    inventory = (CONTRACTS_DIR / "inventory.yaml").read_bytes()
    try:
        checker.check("sales.yaml", SALES.read_bytes())
        with monkeypatch.context() as patched:
            patched.setattr(check_parent._Child, "_line", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                checker.check("sales.yaml", SALES.read_bytes())
        entry, _ = checker.check("inventory.yaml", inventory)
    finally:
        checker.close()
    assert entry["contract"]["dataset"] == "inventory"
