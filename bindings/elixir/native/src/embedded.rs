//! The server engine inside the VM.
