"""Runs the README's Python against an embedded server, with nothing installed but the wheel.

Blocks with prompts are doctests, one session through the whole file. Blocks without run as
programs, each on its own.
"""

import contextlib
import doctest
import io
import pathlib
import re
import sys

from durable_streams.testing import TestServer

README = pathlib.Path(__file__).parents[1] / "README.md"
PRINTED_SERVER = "http://localhost:4437"
FENCED = re.compile(r"^```(python|pycon)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def main():
    with TestServer() as server:
        text = README.read_text().replace(PRINTED_SERVER, server.url)
        blocks = [(found[2], found[3]) for found in FENCED.finditer(text)]
        sessions = "\n".join(block for _, block in blocks if ">>> " in block)
        failed, attempted = doctests(sessions)
        for marks, block in blocks:
            # `python no-run` needs something that is not there, such as a proxy.
            if ">>> " not in block and "no-run" not in marks:
                attempted += 1
                failed += not runs(block)
    if failed or not attempted:
        sys.exit(f"{README.name}: {failed} of {attempted} examples failed")


def doctests(sessions):
    test = doctest.DocTestParser().get_doctest(sessions, {}, README.name, str(README), 0)
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)


def runs(block):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, README.name, "exec"), {"__name__": "__main__"})
    except Exception as problem:
        print(f"{block}\n{type(problem).__name__}: {problem}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main()
