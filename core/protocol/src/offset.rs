//! Offsets: opaque tokens for clients, positions for servers (protocol.md §14).

use std::fmt;

/// Sentinel for the start of a stream.
pub const BEGINNING: &str = "-1";
/// Sentinel for the tail at the time of the request.
pub const NOW: &str = "now";

/// Where to read from, as a client holds it: a sentinel or a token the server
/// issued. Tokens are stored, compared and sent back; never built or edited.
/// Source: protocol.md §14.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Offset {
    /// The start of the stream (`-1`); sorts before every issued token.
    #[default]
    Beginning,
    /// A token issued by the server; tokens of one stream order bytewise.
    At(String),
    /// The tail when the request arrives (`now`).
    Now,
}

impl Offset {
    /// The start of the stream.
    pub const fn beginning() -> Self {
        Self::Beginning
    }

    /// Wraps a token; `-1` and the empty string mean the beginning, `now` the tail.
    pub fn new(value: impl Into<String>) -> Self {
        let value = value.into();
        match value.as_str() {
            "" | BEGINNING => Self::Beginning,
            NOW => Self::Now,
            _ => Self::At(value),
        }
    }

    /// Wraps a token; the same as [`Offset::new`].
    pub fn at(value: impl Into<String>) -> Self {
        Self::new(value)
    }

    /// Wraps a token; the same as [`Offset::new`].
    pub fn parse(value: &str) -> Self {
        Self::new(value)
    }

    /// The token as it goes on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Beginning => BEGINNING,
            Self::At(token) => token,
            Self::Now => NOW,
        }
    }

    /// The value of the `offset` query parameter.
    pub fn to_query_value(&self) -> &str {
        self.as_str()
    }

    /// Whether this is the start sentinel.
    pub const fn is_beginning(&self) -> bool {
        matches!(self, Self::Beginning)
    }

    /// Whether this is the tail sentinel.
    pub const fn is_now(&self) -> bool {
        matches!(self, Self::Now)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&str> for Offset {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for Offset {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl From<&String> for Offset {
    fn from(value: &String) -> Self {
        Self::new(value.as_str())
    }
}

impl From<&Self> for Offset {
    fn from(value: &Self) -> Self {
        value.clone()
    }
}

/// A server's position: the number of stored bytes before it. Its token is
/// `0000000000000000_` and 16 decimal digits, so tokens order as positions do.
/// Units: stored bytes of the stream, inherited ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(pub u64);

/// Length of an issued token.
pub const TOKEN_LEN: usize = 33;

impl Position {
    /// The start of a stream.
    pub const START: Self = Self(0);
    /// Largest position a token can show.
    pub const MAX: Self = Self(9_999_999_999_999_999);

    /// The token as ASCII bytes.
    pub fn token(self) -> Token {
        let mut bytes = *b"0000000000000000_0000000000000000";
        let mut rest = self.0;
        for slot in bytes[17..].iter_mut().rev() {
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        Token(bytes)
    }

    /// Parses a token of this server's shape, the whole value and nothing else.
    /// A first field above zero sorts after every issued token, so it becomes
    /// [`Position::MAX`].
    pub fn parse(token: &[u8]) -> Option<Self> {
        if token.len() != TOKEN_LEN || token[16] != b'_' {
            return None;
        }
        let field = |digits: &[u8]| {
            digits
                .iter()
                .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
        };
        let (major, minor) = (field(&token[..16])?, field(&token[17..])?);
        Some(if major == 0 { Self(minor) } else { Self::MAX })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token().as_str())
    }
}

/// The text of a [`Position`], without an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; TOKEN_LEN]);

impl Token {
    /// The token as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The token as bytes.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Where a read request starts, as the server understood it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// `-1`, or no offset in a catch-up read.
    Beginning,
    /// An issued position.
    At(Position),
    /// `now`.
    Now,
}

impl ReadFrom {
    /// Parses the value of the `offset` parameter; `None` is a malformed one.
    /// The whole value counts, nothing is trimmed (protocol.md §10).
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value {
            b"-1" => Some(Self::Beginning),
            b"now" => Some(Self::Now),
            _ => Position::parse(value).map(Self::At),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_order_as_positions_do() {
        let mut last = Position(0).token();
        for position in [1, 9, 10, 99, 12_345, 9_999_999_999_999_999] {
            let token = Position(position).token();
            assert!(last.as_bytes() < token.as_bytes());
            assert_eq!(Position::parse(token.as_bytes()), Some(Position(position)));
            last = token;
        }
        assert!(BEGINNING < Position(0).token().as_str());
    }

    #[test]
    fn only_the_exact_shape_is_a_position() {
        for bad in [
            "",
            "0",
            "abc",
            "0000000000000000_000000000000000",
            "0000000000000000_0000000000000000\n",
            "0000000000000000-0000000000000000",
            " 000000000000000_0000000000000000",
            "000000000000000a_0000000000000000",
        ] {
            assert_eq!(ReadFrom::parse(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(Position::parse(b"9999999999999999_9999999999999999"), Some(Position::MAX));
    }

    #[test]
    fn sentinels_normalise() {
        assert_eq!(Offset::new("-1"), Offset::Beginning);
        assert_eq!(Offset::new(""), Offset::beginning());
        assert_eq!(Offset::from("now"), Offset::Now);
        assert!(Offset::Beginning < Offset::from("0000000000000000_0000000000000000"));
    }
}
