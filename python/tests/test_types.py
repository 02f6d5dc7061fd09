"""What type checkers say about the package and about code that uses it."""

import os
import pathlib
import re
import subprocess
import sys
import sysconfig

SAMPLES = pathlib.Path(__file__).parent / "typing_samples"
GOOD = [SAMPLES / "sync_code.py", SAMPLES / "async_code.py"]
WRONG = SAMPLES / "wrong_code.py"
ALLOWLIST = SAMPLES.parent / "stubtest_allowlist.txt"


def checked(tmp_path, *arguments):
    """Runs a tool far from our sources, so that it sees the installed package."""
    # Pyright asks the environment's own `python` where packages are.
    path = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": sys.prefix}
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300, env=environment)
    return done.returncode, done.stdout + done.stderr


def lines_with_errors(output):
    return {int(number) for number in re.findall(r"wrong_code\.py:(\d+)(?::\d+)?\s*(?:-|:) ?error", output)}


def marked_lines():
    return {number for number, line in enumerate(WRONG.read_text().splitlines(), 1) if "# expect: error" in line}


def test_mypy_strict_accepts_right_code(tmp_path):
    code, output = checked(tmp_path, "mypy", "--strict", *GOOD)
    assert code == 0, output


def test_mypy_finds_mistakes(tmp_path):
    _, output = checked(tmp_path, "mypy", "--strict", WRONG)
    assert lines_with_errors(output) == marked_lines(), output


def test_mypy_strict_accepts_the_package_itself(tmp_path):
    code, output = checked(tmp_path, "mypy", "--strict", "-p", "durable_streams")
    assert code == 0, output


def test_stubs_say_what_the_extension_has(tmp_path):
    code, output = checked(tmp_path, "mypy.stubtest", "--allowlist", ALLOWLIST, "--ignore-unused-allowlist", "durable_streams")
    assert code == 0, output


def test_pyright_accepts_right_code(tmp_path):
    code, output = checked(tmp_path, "pyright", *GOOD)
    assert code == 0, output


def test_pyright_finds_mistakes(tmp_path):
    _, output = checked(tmp_path, "pyright", WRONG)
    assert lines_with_errors(output) == marked_lines(), output


def test_everything_public_has_a_type(tmp_path):
    code, output = checked(tmp_path, "pyright", "--verifytypes", "durable_streams", "--ignoreexternal")
    assert code == 0, output
