//! Terms to JSON text.

use std::io::Write;

use durable_streams_bindings::json::text::escape;
use rustler::{Atom, BigInt, Binary, ListIterator, MapIterator, Term, TermType, types::atom};

rustler::atoms! { unsupported, invalid_utf8, nested_too_deeply }

/// How much may be done.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) terms: usize,
    pub(crate) bytes: usize,
}

/// Why there is no text.
pub(crate) enum Refused<'a> {
    /// More than the budget allows.
    Big,
    /// This cannot be JSON, and why.
    Term((Atom, Term<'a>)),
}

/// Terms inside terms, at most: each level is a frame of the stack.
const MOST_LEVELS: usize = 512;

/// The text of a term. Structs are left to the caller.
pub(crate) fn encode(term: Term<'_>, budget: Budget) -> Result<Vec<u8>, Refused<'_>> {
    let mut encoder = Encoder { out: Vec::with_capacity(128), budget, terms: 0 };
    encoder.value(term, 0)?;
    Ok(encoder.out)
}

struct Encoder {
    out: Vec<u8>,
    budget: Budget,
    terms: usize,
}

impl Encoder {
    fn value<'a>(&mut self, term: Term<'a>, level: usize) -> Result<(), Refused<'a>> {
        self.terms += 1;
        if self.terms > self.budget.terms || self.out.len() > self.budget.bytes {
            return Err(Refused::Big);
        }
        if level > MOST_LEVELS {
            return Err(Refused::Term((nested_too_deeply(), term)));
        }
        match term.get_type() {
            TermType::Binary => self.text(term),
            TermType::Atom => self.atom(term),
            TermType::Integer => self.integer(term),
            TermType::Float => {
                let value: f64 = term.decode().map_err(|_| refuse(term))?;
                // The form that keeps `1.0` a number with a fraction.
                self.write(format_args!("{value:?}"));
                Ok(())
            }
            TermType::List => self.list(term, level),
            TermType::Map => self.map(term, level),
            TermType::Fun | TermType::Pid | TermType::Port | TermType::Ref | TermType::Tuple | TermType::Unknown => {
                Err(refuse(term))
            }
        }
    }

    fn text<'a>(&mut self, term: Term<'a>) -> Result<(), Refused<'a>> {
        // A bitstring that is no binary ends here.
        let binary: Binary<'a> = term.decode().map_err(|_| refuse(term))?;
        if binary.len() > self.budget.bytes {
            return Err(Refused::Big);
        }
        if std::str::from_utf8(binary.as_slice()).is_err() {
            return Err(Refused::Term((invalid_utf8(), term)));
        }
        self.quoted(binary.as_slice());
        Ok(())
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.push(b'"');
        escape(text, &mut self.out);
        self.out.push(b'"');
    }

    fn atom<'a>(&mut self, term: Term<'a>) -> Result<(), Refused<'a>> {
        if atom::nil() == term {
            self.out.extend_from_slice(b"null");
        } else if atom::true_() == term {
            self.out.extend_from_slice(b"true");
        } else if atom::false_() == term {
            self.out.extend_from_slice(b"false");
        } else {
            let name = term.atom_to_string().map_err(|_| refuse(term))?;
            self.quoted(name.as_bytes());
        }
        Ok(())
    }

    fn integer<'a>(&mut self, term: Term<'a>) -> Result<(), Refused<'a>> {
        if let Ok(value) = term.decode::<i64>() {
            self.write(format_args!("{value}"));
        } else {
            let value: BigInt = term.decode().map_err(|_| refuse(term))?;
            self.write(format_args!("{value}"));
        }
        Ok(())
    }

    fn list<'a>(&mut self, term: Term<'a>, level: usize) -> Result<(), Refused<'a>> {
        if !term.is_empty_list() && term.list_length().is_err() {
            // An improper list has no JSON.
            return Err(refuse(term));
        }
        let items: ListIterator<'a> = term.decode().map_err(|_| refuse(term))?;
        self.out.push(b'[');
        for (number, item) in items.enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            self.value(item, level + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn map<'a>(&mut self, term: Term<'a>, level: usize) -> Result<(), Refused<'a>> {
        let fields = MapIterator::new(term).ok_or_else(|| refuse(term))?;
        self.out.push(b'{');
        for (number, (key, value)) in fields.enumerate() {
            if number > 0 {
                self.out.push(b',');
            }
            match key.get_type() {
                TermType::Atom if atom::__struct__() == key => return Err(refuse(term)),
                TermType::Atom => {
                    let name = key.atom_to_string().map_err(|_| refuse(term))?;
                    self.quoted(name.as_bytes());
                }
                TermType::Binary => self.text(key)?,
                TermType::Integer => {
                    self.out.push(b'"');
                    self.integer(key)?;
                    self.out.push(b'"');
                }
                TermType::Float
                | TermType::Fun
                | TermType::List
                | TermType::Map
                | TermType::Pid
                | TermType::Port
                | TermType::Ref
                | TermType::Tuple
                | TermType::Unknown => return Err(refuse(term)),
            }
            self.out.push(b':');
            self.value(value, level + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing into memory cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

fn refuse(term: Term<'_>) -> Refused<'_> {
    Refused::Term((unsupported(), term))
}
