//! Arguments that come as a map with atom keys; `nil` counts as absent.

use durable_streams_bindings::Bytes;
use rustler::{Atom, Binary, Decoder, Encoder, Env, Error, NifResult, OwnedEnv, Term, TermType, types::atom};

/// Arguments by name.
pub(crate) struct Options<'a>(Term<'a>);

impl<'a> Options<'a> {
    pub(crate) const fn new(map: Term<'a>) -> Self {
        Self(map)
    }

    /// The argument, if it was given.
    /// Errors: `ErlangError` that names it when it is something else.
    pub(crate) fn get<T: Decoder<'a>>(&self, name: &str) -> NifResult<Option<T>> {
        let key = Atom::from_str(self.0.get_env(), name)?;
        match self.0.map_get(key.encode(self.0.get_env())) {
            Ok(value) if atom::nil() != value => value.decode().map(Some).map_err(|_| refused(key)),
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// The same; the type's default when absent.
    pub(crate) fn get_or_default<T: Decoder<'a> + Default>(&self, name: &str) -> NifResult<T> {
        Ok(self.get(name)?.unwrap_or_default())
    }

    /// A number, with or without a fraction.
    pub(crate) fn number(&self, name: &str) -> NifResult<Option<f64>> {
        let Some(value) = self.get::<Term<'a>>(name)? else { return Ok(None) };
        if value.get_type() == TermType::Float {
            return value.decode().map(Some);
        }
        #[expect(clippy::cast_precision_loss, reason = "what is refused for its size stays too large")]
        let number = |value: i64| Some(value as f64);
        value.decode().map(number).map_err(|_| refused(Atom::from_str(value.get_env(), name).unwrap_or(atom::error())))
    }

    pub(crate) fn bytes(&self, name: &str) -> NifResult<Option<Bytes>> {
        Ok(self.get::<Binary<'a>>(name)?.map(|bytes| copied(self.0.get_env(), bytes)))
    }
}

fn refused(name: Atom) -> Error {
    Error::RaiseTerm(Box::new((atom::badarg(), name)))
}

/// From here on a copy would take a noticeable part of a scheduler's time. Units: bytes.
const LARGE: usize = 64 * 1024;

/// A binary's bytes for a thread of the runtime. Large ones are shared: the VM counts
/// references to them and never changes them.
pub(crate) fn copied<'a>(env: Env<'a>, binary: Binary<'a>) -> Bytes {
    if binary.len() < LARGE {
        return Bytes::copy_from_slice(binary.as_slice());
    }
    let keeper = OwnedEnv::new();
    let shared = keeper.run(|own| {
        let kept: Binary<'_> = binary.to_term(env).in_env(own).decode().ok()?;
        Some((kept.as_slice().as_ptr(), kept.as_slice().len()))
    });
    match shared {
        Some((start, length)) => Bytes::from_owner(Shared { _keeper: keeper, start, length }),
        None => Bytes::copy_from_slice(binary.as_slice()),
    }
}

/// A binary of the VM, kept alive by an environment of its own.
struct Shared {
    _keeper: OwnedEnv,
    start: *const u8,
    length: usize,
}

// SAFETY: the bytes are never written to, and an environment may be freed on any thread.
unsafe impl Send for Shared {}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the keeper holds a reference to the binary, which neither moves nor changes.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}
