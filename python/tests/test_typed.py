"""Items as models: pydantic, msgspec, dataclasses, any function."""

import dataclasses

import pydantic
import pytest

import durable_streams as ds
from releases import released

msgspec = released("msgspec")


class PydanticMeter(pydantic.BaseModel):
    n: int


MODELS = [PydanticMeter]
ERRORS = [pydantic.ValidationError]

if msgspec is not None:

    class MsgspecMeter(msgspec.Struct):
        n: int

    MODELS.append(MsgspecMeter)
    ERRORS.append(msgspec.ValidationError)


@dataclasses.dataclass
class DataMeter:
    n: int


@pytest.mark.parametrize("model", [*MODELS, DataMeter])
def test_items_become_models(json_url, model):
    with ds.stream(json_url, live=False) as res:
        items = list(res.iter_json(type=model))
    assert items == [model(n=n) for n in range(3)]
    assert {type(item) for item in items} == {model}


@pytest.mark.parametrize("model", MODELS)
def test_items_become_models_in_async_code(run, json_url, model):
    async def main():
        async with ds.astream(json_url, live=False) as res:
            assert [item async for item in res.iter_json(type=model)] == [model(n=n) for n in range(3)]

    run(main)


def test_types_of_the_language_are_types_too(json_url):
    with ds.stream(json_url, live=False) as res:
        assert list(res.iter_json(type=dict[str, int])) == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("model", MODELS)
def test_a_bad_item_is_named_with_its_offset(json_url, model):
    with ds.DurableStream.connect(json_url) as handle:
        handle.append({"n": "many"})
        handle.append({"n": 9})
    with ds.stream(json_url, live=False) as res:
        items = res.iter_json(type=model)
        good = [next(items) for _ in range(3)]
        with pytest.raises(ds.DurableStreamError) as caught:
            next(items)
        # What is wrong with one message is not the end of the stream.
        assert list(items) == [model(n=9)]
    assert [item.n for item in good] == [0, 1, 2]
    assert isinstance(caught.value, ds.InvalidItemError)
    assert caught.value.item == {"n": "many"}
    with ds.stream(json_url, offset=caught.value.offset, live=False) as res:
        assert {"n": "many"} in res.read_json()
    assert isinstance(caught.value.__cause__, tuple(ERRORS))


def test_decode_and_type_exclude_each_other(json_url):
    with ds.stream(json_url, live=False) as res, pytest.raises(TypeError):
        list(res.iter_json(decode=len, type=DataMeter))
