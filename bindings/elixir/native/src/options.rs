//! Arguments that come as a map with atom keys; `nil` counts as absent.

use durable_streams_bindings::Bytes;
use rustler::{Atom, Binary, Decoder, Encoder, Error, NifResult, Term, types::atom};

/// Arguments by name.
pub(crate) struct Options<'a>(Term<'a>);

impl<'a> Options<'a> {
    pub(crate) const fn new(map: Term<'a>) -> Self {
        Self(map)
    }

    /// The argument, if it was given.
    /// Errors: `ArgumentError` that names it when it is something else.
    pub(crate) fn get<T: Decoder<'a>>(&self, name: &str) -> NifResult<Option<T>> {
        let key = Atom::from_str(self.0.get_env(), name)?;
        match self.0.map_get(key.encode(self.0.get_env())) {
            Ok(value) if atom::nil() != value => {
                value.decode().map(Some).map_err(|_| Error::RaiseTerm(Box::new((atom::badarg(), key))))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// The same; the type's default when absent.
    pub(crate) fn get_or_default<T: Decoder<'a> + Default>(&self, name: &str) -> NifResult<T> {
        Ok(self.get(name)?.unwrap_or_default())
    }

    pub(crate) fn bytes(&self, name: &str) -> NifResult<Option<Bytes>> {
        Ok(self.get::<Binary<'_>>(name)?.map(copied))
    }
}

/// A binary's bytes, copied: the VM may move or free the original.
pub(crate) fn copied(binary: Binary<'_>) -> Bytes {
    Bytes::copy_from_slice(binary.as_slice())
}
