defmodule DurableStreams.ReadChunk do
  @moduledoc "One unit of a read: bytes, or the text of a JSON array, with the offset behind them."

  @type t :: %__MODULE__{
          data: binary(),
          next_offset: String.t(),
          up_to_date: boolean(),
          status: pos_integer(),
          stream_closed: boolean(),
          cursor: String.t() | nil
        }

  defstruct [:next_offset, :cursor, data: "", up_to_date: false, status: 200, stream_closed: false]
end

defmodule DurableStreams.AppendResult do
  @moduledoc """
  A stored append. `duplicate` is true when the server had stored the same producer request
  before; `producer_epoch` and `producer_seq` answer requests with a `:producer_id`.
  """

  @type t :: %__MODULE__{
          next_offset: String.t() | nil,
          duplicate: boolean(),
          stream_closed: boolean(),
          etag: String.t() | nil,
          producer_epoch: non_neg_integer() | nil,
          producer_seq: non_neg_integer() | nil
        }

  defstruct [:next_offset, :etag, :producer_epoch, :producer_seq, duplicate: false, stream_closed: false]
end

defmodule DurableStreams.HeadResult do
  @moduledoc "What a server tells about a stream. `offset` and `next_offset` are both its tail."

  @type t :: %__MODULE__{
          next_offset: String.t(),
          offset: String.t(),
          content_type: String.t() | nil,
          stream_closed: boolean(),
          ttl_seconds: non_neg_integer() | nil,
          expires_at: String.t() | nil,
          etag: String.t() | nil,
          cache_control: String.t() | nil,
          status: pos_integer(),
          headers: [{String.t(), String.t()}]
        }

  defstruct [
    :next_offset,
    :offset,
    :content_type,
    :ttl_seconds,
    :expires_at,
    :etag,
    :cache_control,
    :status,
    stream_closed: false,
    headers: []
  ]
end

defmodule DurableStreams.CloseResult do
  @moduledoc "A closed stream: its final offset."

  @type t :: %__MODULE__{final_offset: String.t() | nil}

  defstruct [:final_offset]
end
