"""docs/physics/conventions.md names the tests that hold the code to it; they exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
CONVENTIONS = TESTS.parent / "docs" / "physics" / "conventions.md"


def test_every_test_that_the_conventions_name_exists():
    named = set(re.findall(r"`(test_\w+)`", CONVENTIONS.read_text(encoding="utf-8")))
    defined = {
        name
        for file in TESTS.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.M)
    }
    assert len(named) > 40
    assert named - defined == set()
