//! The only loops of the client: ask a rule or machine what to do, do the I/O, tell it
//! what happened. [`exchange`] is one HTTP attempt, [`one_shot`] one operation with its
//! retries, [`read`] one read from its offset to its end, [`produce`] one
//! producer.

pub(crate) mod exchange;
pub(crate) mod limits;
pub(crate) mod one_shot;
pub(crate) mod produce;
pub(crate) mod read;
pub(crate) mod url;

#[cfg(test)]
mod tests;
