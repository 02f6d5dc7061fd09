//! Pieces of JSON, for hosts whose objects are made of it directly: numbers, and the text
//! inside strings. What is an object of a host is the host's business.

pub mod number;
pub mod text;
