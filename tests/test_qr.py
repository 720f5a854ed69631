"""QR codes are drawn by a module of our own: node runs it, and a foreign reader reads them."""

import os
import pathlib
import shutil
import subprocess

TESTS = pathlib.Path(__file__).parent


def test_a_foreign_reader_reads_every_version_of_our_qr_codes(tmp_path):
    module = shutil.copy(TESTS.parent / "src/web/qr.js", tmp_path / "qr.mjs")  # node tells modules by their name
    told = subprocess.run(["node", "--test", TESTS / "peers/qr.test.js"], env={**os.environ, "QR_MODULE": str(module)}, capture_output=True, text=True, timeout=90, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "# pass 5" in told.stdout, told.stdout
