"""The installed wheel: names, tags, documentation, what it drags in."""

import importlib.metadata
import inspect
import os
import pathlib
import subprocess
import sys
import sysconfig

import pytest

import durable_streams as ds
from releases import HAS_NO_LOCK

DOCUMENTED = [
    "stream", "astream", "DurableStream", "AsyncDurableStream", "IdempotentProducer", "LiveMode", "Offset",
    "StreamEvent", "HeadResult", "AppendResult", "CloseResult", "HeadersLike", "ParamsLike", "SSEEncoding",
    "IdempotentAppendResult", "DurableStreamError", "StreamNotFoundError", "StreamExistsError", "SeqConflictError",
    "StreamClosedError", "RetentionGoneError", "StreamConsumedError", "SSENotSupportedError",
    "SSEBytesIterationError", "SSEReadAllError", "SSEEncodingError", "FetchError", "StaleEpochError",
    "SequenceGapError", "SyncProducer", "__version__",
]  # fmt: skip


def distribution():
    return importlib.metadata.distribution("durable-streams")


def test_the_installed_package_is_tested_and_not_the_sources():
    package = pathlib.Path(ds.__file__)
    assert package.is_relative_to(sysconfig.get_path("platlib"))
    assert not package.is_relative_to(pathlib.Path(__file__).parents[2] / "python")


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_names_are_exported(name):
    assert hasattr(ds, name)
    assert name in ds.__all__


def test_exports_are_what_they_say():
    assert len(set(ds.__all__)) == len(ds.__all__)
    namespace = {}
    exec("from durable_streams import *", namespace)
    assert set(ds.__all__) <= set(namespace)


def test_versions_agree():
    assert ds.__version__ == distribution().version


def test_nothing_else_has_to_be_installed():
    required = [requirement for requirement in distribution().requires or [] if "extra ==" not in requirement]
    assert required == []


def test_the_wheel_is_abi3_for_every_later_python():
    tags = [line for line in distribution().read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
    if HAS_NO_LOCK:
        version = "cp{}{}".format(*sys.version_info)
        assert all(tag.split()[1].startswith(f"{version}-{version}t-") for tag in tags)
    elif sys.version_info >= (3, 10):
        assert all(tag.split()[1].startswith("cp310-abi3-") for tag in tags)
    else:
        assert all(tag.split()[1].startswith("cp39-cp39-") for tag in tags)


if HAS_NO_LOCK:

    def test_importing_leaves_the_lock_off():
        program = "import sys, durable_streams.testing; print(sys._is_gil_enabled())"
        asked = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=asked)
        assert (run.returncode, run.stdout, run.stderr) == (0, "False\n", "")


def test_the_package_is_typed_and_licensed():
    names = {str(file) for file in distribution().files}
    assert "durable_streams/py.typed" in names
    assert any("LICENSE-MIT" in name for name in names)
    assert any("LICENSE-APACHE" in name for name in names)
    assert distribution().metadata["Requires-Python"] == ">=3.9"


def test_importing_is_quick_and_loads_no_event_loop():
    """Command line tools pay for every import; asyncio and httpx are needed only by who uses them."""
    program = "import sys; before = set(sys.modules); import durable_streams; print(*set(sys.modules) - before)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"asyncio", "httpx", "trio", "pydantic"} & set(out)


def public_members():
    for name in ds.__all__:
        thing = getattr(ds, name)
        if thing is str:
            # `Offset` is a name for it.
            continue
        if inspect.isclass(thing):
            yield name, thing
            for member, value in vars(thing).items():
                is_own = callable(value) or isinstance(value, (property, classmethod, staticmethod))
                if not member.startswith("_") and is_own and not issubclass(thing, (dict, str, tuple)):
                    yield f"{name}.{member}", getattr(thing, member)
        elif inspect.isroutine(thing):
            yield name, thing


@pytest.mark.parametrize(("name", "thing"), list(public_members()), ids=lambda value: value if isinstance(value, str) else "")
def test_everything_public_has_documentation(name, thing):
    text = inspect.getdoc(thing)
    assert text, name
    assert text.splitlines()[0].strip().endswith("."), f"{name}: the first line is no sentence"


def test_signatures_can_be_asked_for():
    parameters = inspect.signature(ds.stream).parameters
    assert list(parameters)[:4] == ["url", "offset", "live", "cursor"]
    assert parameters["live"].default is True
    assert parameters["offset"].kind is inspect.Parameter.KEYWORD_ONLY
    create = inspect.signature(ds.DurableStream.create).parameters
    assert {"content_type", "ttl_seconds", "expires_at", "body", "headers", "params", "client", "timeout", "closed"} <= set(create)


def test_help_reads():
    program = "import durable_streams; help(durable_streams)"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "DurableStream" in out
    assert "append" in out
