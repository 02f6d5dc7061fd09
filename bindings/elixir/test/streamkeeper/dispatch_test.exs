defmodule DurableStreams.Streamkeeper.DispatchTest do
  @moduledoc "One set of functions for streams here and elsewhere."
  use ExUnit.Case, async: true
  use DurableStreams

  alias DurableStreams.Server

  setup_all do
    server = start_supervised!({Server, storage: :memory})
    {:ok, url: Server.url(server)}
  end

  test "a URL and a handle go to the server, any other string stays here", %{url: url} do
    url = url <> "/dispatch"
    assert {:ok, %DS{} = handle} = DurableStreams.create(url, content_type: "text/plain")
    assert {:ok, %{next_offset: _}} = DurableStreams.append(url, "by URL, ")
    assert {:ok, %{next_offset: offset}} = DurableStreams.append(handle, "by handle")

    for target <- [url, handle] do
      assert {:ok, %{data: "by URL, by handle", next_offset: ^offset}} = DurableStreams.read(target, "-1")
      assert {:ok, %{content_type: "text/plain", stream_closed: false}} = DurableStreams.get_metadata(target)
    end

    assert {:error, :not_found} = DurableStreams.get_metadata("dispatch")
    assert {:ok, %{final_offset: ^offset}} = DurableStreams.close(handle)
    assert {:error, :stream_closed} = DurableStreams.append(handle, "x")
    assert :ok = DurableStreams.delete(handle)
    assert {:error, :stream_not_found} = DurableStreams.delete(url)
  end

  test "metadata of a stream here stands for its id" do
    {:ok, id} = DurableStreams.create("dispatch/here", content_type: "text/plain")
    {:ok, meta} = DurableStreams.get_metadata(id)
    assert {:ok, offset} = DurableStreams.append(meta, "x")
    assert {:ok, %{data: "x", offset: ^offset}} = DurableStreams.read(meta, "-1")
    assert :ok = DurableStreams.close(meta)
    assert {:ok, %{closed: true, id: ^id}} = DurableStreams.get_metadata(meta)
    assert :ok = DurableStreams.delete(meta)
  end

  test "the short names of `use` are modules of this package" do
    for module <- [AppendResult, Client, Consumer, HeadResult, ReadChunk, Writer, DS] do
      assert Code.ensure_loaded?(module), inspect(module)
    end

    assert {:ok, _} = Version.parse(DurableStreams.version())
  end
end
