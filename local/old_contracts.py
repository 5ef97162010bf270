"""Contracts in include/contracts, where an earlier release kept them. `up` moves them to contracts/."""

from __future__ import annotations

import filecmp
import shutil
from typing import TYPE_CHECKING

from include.settings import CONTRACTS_DIR
from local.settings import OLD_CONTRACTS_DIR, names_old_contracts

if TYPE_CHECKING:
    from pathlib import Path

    from local.console import Progress


def move_old_contracts(progress: Progress, old: Path = OLD_CONTRACTS_DIR, new: Path = CONTRACTS_DIR) -> None:
    """Move the contracts that users added to the earlier folder, with a line for each. Nothing is overwritten.

    Args:
        progress: gets the lines.
        old: the earlier folder. It holds the code that reads contracts now.
        new: the folder of the contracts.
    """
    if names_old_contracts():
        progress.note(
            "INGEST_CONTRACTS_DIR names include/contracts, which holds code now; contracts/ is used instead. "
            "Remove the line from .env."
        )
    for file in sorted(path for path in old.iterdir() if path.suffix in {".yaml", ".yml"}):
        target = new / file.name
        if not target.exists():
            new.mkdir(exist_ok=True)
            shutil.move(file, target)
            progress.note(f"contracts/{file.name}: moved here from include/contracts")
        elif filecmp.cmp(file, target, shallow=False):
            file.unlink()
            progress.note(f"contracts/{file.name}: its copy in include/contracts is deleted")
        else:
            progress.note(
                f"contracts/{file.name}: differs from include/contracts/{file.name}, which is not used: "
                "compare the two and delete the second"
            )
