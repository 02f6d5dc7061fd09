//! Arguments that come as a hash, and results that leave as one.

use durable_streams_bindings::{Bytes, stream::Told};
use magnus::{Error, IntoValue, RHash, RString, Ruby, TryConvert, prelude::*};

/// Arguments by name; `nil` counts as absent.
pub(crate) struct Options<'a> {
    ruby: &'a Ruby,
    hash: RHash,
}

impl<'a> Options<'a> {
    pub(crate) const fn new(ruby: &'a Ruby, hash: RHash) -> Self {
        Self { ruby, hash }
    }

    /// The argument, if it was given.
    /// Errors: `TypeError` when it is something else.
    pub(crate) fn get<T: TryConvert>(&self, name: &str) -> Result<Option<T>, Error> {
        match self.hash.get(self.ruby.to_symbol(name)) {
            Some(value) if !value.is_nil() => T::try_convert(value).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// The same; the type's default when absent.
    pub(crate) fn get_or_default<T: TryConvert + Default>(&self, name: &str) -> Result<T, Error> {
        Ok(self.get(name)?.unwrap_or_default())
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.get::<RString>(name)?.map(copied))
    }
}

/// A string's bytes, copied: Ruby may change the original.
pub(crate) fn copied(text: RString) -> Bytes {
    // SAFETY: nothing of Ruby runs while the slice is in use.
    Bytes::copy_from_slice(unsafe { text.as_slice() })
}

/// A result by name.
pub(crate) struct Fields<'a> {
    ruby: &'a Ruby,
    hash: RHash,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(ruby: &'a Ruby) -> Self {
        Self { ruby, hash: ruby.hash_new() }
    }

    pub(crate) fn set(self, name: &str, value: impl IntoValue) -> Result<Self, Error> {
        self.hash.aset(self.ruby.to_symbol(name), value)?;
        Ok(self)
    }

    /// Adds status and headers of the answer.
    pub(crate) fn told(self, told: Told) -> Result<RHash, Error> {
        let headers = self.ruby.hash_from_iter(told.headers);
        Ok(self.set("status", told.status)?.set("headers", headers)?.set("attempts", told.attempts)?.hash)
    }

    pub(crate) const fn done(self) -> RHash {
        self.hash
    }
}
