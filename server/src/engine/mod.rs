//! The engine: the rules per stream, one serialised append path, group commit,
//! live readers. (Public signatures; bodies follow.)

pub mod types;
