"""SECURITY.md names the tests that hold its claims; a claim whose test is gone, or that never had one, is only a wish."""

import re

from relay import ROOT

TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
REFERENCE = re.compile(r"`((?:src|tests)/[\w/]+\.(?:rs|py))::(\w+)`")


def is_there(path, name):
    file = ROOT / path
    if not file.exists():
        return False
    text = file.read_text(encoding="utf-8")
    if path.endswith(".py"):
        return re.search(rf"^(async )?def {name}\(", text, re.M)
    return re.search(rf"#\[(tokio::)?test\]\s+(#\[[^\n]*\]\s+)*(async )?fn {name}\(", text)


def test_every_test_that_a_claim_names_is_there():
    named = REFERENCE.findall(TEXT)
    assert len(named) > 40 and len(named) == TEXT.count("::")
    assert not [f"{path}::{name}" for path, name in named if not is_there(path, name)]


def test_every_threat_of_the_table_names_a_test():
    rows = [line.strip("|").split("|") for line in TEXT.splitlines() if line.startswith("| ")]
    heads, *threats = [row for row in rows if len(row) == 4]
    assert [head.strip() for head in heads] == ["Threat", "Rule", "Opened by", "Held by"]
    assert len(threats) > 14
    assert not [threat.strip() for threat, _, _, held in threats if not REFERENCE.search(held)]
