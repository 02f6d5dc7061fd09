from durable_streams import DurableStream

# Create a stream
handle = DurableStream.create(
    "https://your-server.com/v1/stream/my-stream",
    content_type="application/json",
    ttl_seconds=3600,
)

# Append data
handle.append({"message": "hello"})
handle.append({"message": "world"})

# Read back
with handle.stream() as res:
    for item in res.iter_json():
        print(item)
