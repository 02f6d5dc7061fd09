"""Long runs: memory, descriptors and threads stay where they are."""

import json
import pathlib
import subprocess
import sys

import pytest

import soak

# A leak of 1 KiB per round would be 10 MiB; allocators and tables may settle within half of it.
MOST_GROWTH_KIB = 5 * 1024
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
    before, after = held["before"], held["after"]
    assert after["resident_kib"] - before["resident_kib"] < MOST_GROWTH_KIB, held
    assert after["descriptors"] - before["descriptors"] <= MOST_CONNECTIONS, held
    assert after["threads"] <= before["threads"] + 1, held
