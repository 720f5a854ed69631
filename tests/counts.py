"""For tests/run: how many tests passed, failed and were skipped, and why, in the file that PORTHOLE_TEST_COUNTS names."""

import os


def pytest_terminal_summary(terminalreporter):
    path = os.environ.get("PORTHOLE_TEST_COUNTS")
    if not path or "PYTEST_XDIST_WORKER" in os.environ:  # the workers' results are added up in the process that started them
        return
    of = terminalreporter.stats
    passed, failed, skipped = (sum(len(of.get(name, [])) for name in names) for names in (("passed", "xpassed"), ("failed", "error"), ("skipped", "xfailed")))
    with open(path, "a") as file:
        file.write(f"{passed} {failed} {skipped}\n")
    with open(f"{path}.skipped", "a") as file:
        for report in of.get("skipped", []):
            file.write(f"{report.longrepr[2].removeprefix('Skipped: ')}\n")
