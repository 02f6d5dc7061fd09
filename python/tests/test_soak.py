"""Long runs: memory, descriptors and threads stay where they are."""

import json
import pathlib
import subprocess
import sys

import pytest

import soak

# Idle connections that are kept for the next request: at most as many as were used at once, however
# many rounds there were.
MOST_CONNECTIONS = 100


@pytest.mark.slow
@pytest.mark.parametrize("name", soak.WORK)
def test_ten_thousand_rounds_leave_nothing_behind(text_url, name):
    program = pathlib.Path(soak.__file__)
    done = subprocess.run([sys.executable, program, name, text_url], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    held = json.loads(done.stdout)
    before, *_, after = held
    assert after["resident_kib"] - held[-2]["resident_kib"] < soak.MOST_GROWTH_KIB, held
    assert after["descriptors"] - before["descriptors"] <= MOST_CONNECTIONS, held
    assert after["threads"] <= before["threads"] + 1, held
