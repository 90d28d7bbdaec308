"""axe-core, which looks for what keeps people from using a page."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

VERSION = "4.14.1"
SERIOUS = {"serious", "critical"}
RUN = "() => axe.run(document, {resultTypes: ['violations']})"


def skip_aloud(reason: str) -> None:
    """Skip a test where a tool is missing; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} In CI nothing is skipped.")
    pytest.skip(reason)


def fetch_axe(folder: Path) -> Path:
    """Return the script, from the npm registry where it is not in the folder yet."""
    script = folder / f"axe-{VERSION}.min.js"
    if script.exists():
        return script
    npm = shutil.which("npm")
    if npm is None:
        skip_aloud("npm is not installed: axe-core cannot be fetched.")
    with TemporaryDirectory() as temporary:
        done = subprocess.run(  # noqa: S603 (a package with its version)
            [str(npm), "pack", "--silent", f"axe-core@{VERSION}"],
            cwd=temporary,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            skip_aloud(f"The npm registry did not give axe-core: {done.stderr.strip()[-200:]}")
        [archive] = Path(temporary).glob("*.tgz")
        with tarfile.open(archive) as package:
            source = package.extractfile("package/axe.min.js")
            assert source
            unfinished = Path(temporary) / "axe.min.js"
            unfinished.write_bytes(source.read())
        # Two workers may do this at once: each moves a whole file into its place.
        shutil.copy(unfinished, folder / f"{os.getpid()}.js")
        (folder / f"{os.getpid()}.js").replace(script)
    return script


def find_barriers(page: Page) -> list[str]:
    """Return the serious findings of a page: the rule, and where it is broken."""
    found: dict[str, Any] = page.evaluate(RUN)
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:160]}"
        f" {' '.join(check['message'] for check in node['any'])[:200]}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]
