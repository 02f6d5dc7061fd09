//! Words of a Caddyfile, with their lines.

use super::super::ConfigError;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its text, without quotes.
    pub(super) text: String,
    /// Whether it was quoted: a quoted brace is text.
    pub(super) is_quoted: bool,
    /// Line, from 1.
    pub(super) line: usize,
    /// Whether it is the first of its line.
    pub(super) is_first: bool,
}

impl Word {
    /// Whether this is an opening brace.
    pub(super) fn opens(&self) -> bool {
        !self.is_quoted && self.text == "{"
    }

    /// Whether this is a closing brace.
    pub(super) fn closes(&self) -> bool {
        !self.is_quoted && self.text == "}"
    }
}

/// Replaces `{$NAME}` and `{$NAME:default}` by the environment's values.
pub(super) fn with_environment(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{$") {
        out.push_str(&rest[..start]);
        let Some(len) = rest[start..].find('}') else {
            rest = &rest[start..];
            break;
        };
        let inner = &rest[start + 2..start + len];
        let (name, default) = inner.split_once(':').unwrap_or((inner, ""));
        let value = variable(name).filter(|value| !value.is_empty());
        out.push_str(value.as_deref().unwrap_or(default));
        rest = &rest[start + len + 1..];
    }
    out.push_str(rest);
    out
}

/// Splits a text into words. `file` is its name for messages.
pub(super) fn words(file: &str, text: &str) -> Result<Vec<Word>, ConfigError> {
    let mut words: Vec<Word> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    let mut is_first = true;
    while let Some(char) = chars.next() {
        match char {
            '\n' => {
                line += 1;
                is_first = true;
            }
            char if char.is_whitespace() => {}
            '#' => while chars.next_if(|next| *next != '\n').is_some() {},
            // A backslash at the end of a line continues it.
            '\\' if chars.peek() == Some(&'\n') => {
                chars.next();
                line += 1;
            }
            '"' | '`' => {
                let (quote, start) = (char, line);
                let mut word = String::new();
                loop {
                    match chars.next() {
                        None => return Err(ConfigError::at(file, start, format!("the quote {quote} is never closed"))),
                        Some(end) if end == quote => break,
                        Some('\\') if quote == '"' && chars.peek() == Some(&'"') => word.extend(chars.next()),
                        Some(inner) => {
                            line += usize::from(inner == '\n');
                            word.push(inner);
                        }
                    }
                }
                words.push(Word { text: word, is_quoted: true, line: start, is_first });
                is_first = false;
            }
            char => {
                let mut word = String::from(char);
                while let Some(next) = chars.next_if(|next| !next.is_whitespace()) {
                    word.push(next);
                }
                words.push(Word { text: word, is_quoted: false, line, is_first });
                is_first = false;
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_comments_and_continuations() {
        let text = "a \"b c\" `d\"e` # comment }\n\"f\\\"g\" h#i \\\n j {\n}";
        let words = words("f", text).expect("words");
        let texts: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.line, word.is_first)).collect();
        assert_eq!(
            texts,
            [
                ("a", 1, true),
                ("b c", 1, false),
                ("d\"e", 1, false),
                ("f\"g", 2, true),
                ("h#i", 2, false),
                ("j", 3, false),
                ("{", 3, false),
                ("}", 4, true)
            ]
        );
        assert!(super::words("f", "x\n\"never").expect_err("unclosed").to_string().starts_with("f:2:"));
    }

    #[test]
    fn the_environment_fills_in() {
        let variable = |name: &str| (name == "PORT").then(|| "8080".to_owned());
        assert_eq!(with_environment(":{$PORT:4437} {$NONE:x} {$NONE} {y} {$", variable), ":8080 x  {y} {$");
    }
}
