//! Terms to JSON text.

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

/// Lists and maps inside each other, at most: what the core and servers take. Each is a frame of
/// the stack.
const MOST_LEVELS: usize = durable_streams_protocol::json_mode::MAX_DEPTH;

/// How many keys of one term are expected again in the next, and how long they may be.
const MOST_KEYS: usize = 64;
const LONGEST_KEY: usize = 64;

/// What is used again for the next term.
#[derive(Default)]
pub(crate) struct Scratch {
    out: Vec<u8>,
    /// The keys of the term before, in order, as they stand in the text: messages of a stream
    /// have the same ones, and a comparison costs less than a look for what must be escaped.
    keys: Vec<Vec<u8>>,
}

impl Scratch {
    /// The text of a term. Structs are left to the caller.
    pub(crate) fn encode<'a>(&mut self, term: Term<'a>, budget: Budget) -> Result<&[u8], Refused<'a>> {
        self.out.clear();
        Encoder { out: &mut self.out, keys: &mut self.keys, step: 0, budget, terms: 0 }.value(term, 0)?;
        Ok(&self.out)
    }
}

struct Encoder<'s> {
    out: &'s mut Vec<u8>,
    keys: &'s mut Vec<Vec<u8>>,
    /// Which of the keys is expected next.
    step: usize,
    budget: Budget,
    terms: usize,
}

impl Encoder<'_> {
    fn value<'a>(&mut self, term: Term<'a>, level: usize) -> Result<(), Refused<'a>> {
        self.terms += 1;
        if self.terms > self.budget.terms || self.out.len() > self.budget.bytes {
            return Err(Refused::Big);
        }
        match term.get_type() {
            TermType::Binary => self.text(term),
            TermType::Atom => self.atom(term),
            TermType::Integer => self.integer(term),
            TermType::Float => {
                let value: f64 = term.decode().map_err(|_| refuse(term))?;
                // The VM knows no other floats than finite ones.
                self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
                Ok(())
            }
            TermType::List | TermType::Map if level == MOST_LEVELS => Err(Refused::Term((nested_too_deeply(), term))),
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
        escape(text, self.out);
        self.out.push(b'"');
    }

    /// A key and the colon.
    fn key<'a>(&mut self, key: Term<'a>) -> Result<(), Refused<'a>> {
        let step = self.step;
        self.step += 1;
        let binary: Binary<'a> = key.decode().map_err(|_| refuse(key))?;
        let raw = binary.as_slice();
        if let Some(known) = self.keys.get(step)
            && known.get(1..1 + raw.len()) == Some(raw)
            && known.len() == raw.len() + 3
        {
            self.out.extend_from_slice(known);
            return Ok(());
        }
        let start = self.out.len();
        self.text(key)?;
        self.out.push(b':');
        let written = self.out.get(start..).unwrap_or_default();
        let is_plain = written.len() == raw.len() + 3 && raw.len() <= LONGEST_KEY;
        if let Some(known) = self.keys.get_mut(step).filter(|_| is_plain) {
            written.clone_into(known);
        } else if is_plain && step == self.keys.len() && step < MOST_KEYS {
            self.keys.push(written.to_vec());
        }
        Ok(())
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
            self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        } else {
            let value: BigInt = term.decode().map_err(|_| refuse(term))?;
            self.out.extend_from_slice(value.to_string().as_bytes());
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
                // The keys of a struct are atoms, in an order that is the VM's own affair.
                TermType::Atom if atom::__struct__() == key || (number == 0 && is_struct(term)) => {
                    return Err(refuse(term));
                }
                TermType::Atom => {
                    let name = key.atom_to_string().map_err(|_| refuse(term))?;
                    self.quoted(name.as_bytes());
                }
                TermType::Binary => {
                    self.key(key)?;
                    self.value(value, level + 1)?;
                    continue;
                }
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
}

fn is_struct(map: Term<'_>) -> bool {
    map.map_get(atom::__struct__()).is_ok()
}

fn refuse(term: Term<'_>) -> Refused<'_> {
    Refused::Term((unsupported(), term))
}
