//! Server-sent events as the protocol uses them (protocol.md §13, §25.2):
//! [`decoder`] turns response bytes into events, [`encoder`] turns payloads
//! into response bytes, [`control`] is the control event both sides share.

pub mod control;
pub mod decoder;
pub mod encoder;
