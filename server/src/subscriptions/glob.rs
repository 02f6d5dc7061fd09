//! Path patterns: `*` is one segment, `**` any number of them, everything else
//! is literal per segment (protocol.md §23.2).

use std::collections::HashMap;

use crate::path::StreamPath;

/// Longest accepted pattern. Units: bytes.
const MAX_LEN: usize = 1024;

/// A pattern over relative stream paths, in canonical spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    text: Box<str>,
}

/// Why a pattern is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GlobError(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'t> {
    Literal(&'t str),
    One,
    Many,
}

impl Glob {
    /// Parses a pattern; slashes at either end do not count, percent-encoding is
    /// normalised as in stream paths, `**/**` becomes `**`.
    pub(crate) fn parse(text: &str) -> Result<Self, GlobError> {
        if text.len() > MAX_LEN {
            return Err(GlobError(format!("it is longer than {MAX_LEN} bytes")));
        }
        let mut canonical = String::with_capacity(text.len());
        let mut last_was_many = false;
        for segment in text.trim_matches('/').split('/') {
            let is_many = segment == "**";
            if is_many && last_was_many {
                continue;
            }
            last_was_many = is_many;
            if !canonical.is_empty() {
                canonical.push('/');
            }
            if segment.is_empty() {
                return Err(GlobError("it is empty or has an empty segment".to_owned()));
            }
            let path = StreamPath::parse(&format!("/{segment}")).map_err(|error| GlobError(error.to_string()))?;
            canonical.push_str(&path.as_str()[1..]);
        }
        Ok(Self { text: canonical.into() })
    }

    /// The canonical spelling.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern covers a relative path. Costs at most segments of the
    /// pattern times segments of the path: on a mismatch only the last `**` is retried.
    pub(crate) fn matches(&self, relative: &str) -> bool {
        let pattern: Vec<Segment<'_>> = self.segments().collect();
        let path: Vec<&str> = relative.split('/').collect();
        let (mut at, mut seen) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while seen < path.len() {
            match pattern.get(at) {
                Some(Segment::Many) => {
                    at += 1;
                    retry = Some((at, seen));
                    continue;
                }
                Some(Segment::One) => {
                    (at, seen) = (at + 1, seen + 1);
                    continue;
                }
                Some(Segment::Literal(text)) if *text == path[seen] => {
                    (at, seen) = (at + 1, seen + 1);
                    continue;
                }
                Some(Segment::Literal(_)) | None => {}
            }
            let Some((after_many, taken)) = retry else { return false };
            retry = Some((after_many, taken + 1));
            (at, seen) = (after_many, taken + 1);
        }
        pattern[at..].iter().all(|segment| *segment == Segment::Many)
    }

    fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.text.split('/').map(|segment| match segment {
            "*" => Segment::One,
            "**" => Segment::Many,
            literal => Segment::Literal(literal),
        })
    }
}

/// Many patterns at once: finds the owners of all patterns that cover a path by
/// walking the path once, so that the cost follows the matches and not the patterns.
#[derive(Debug)]
pub(crate) struct GlobIndex<K> {
    top: Node<K>,
}

/// A point in the tree of pattern segments.
#[derive(Debug)]
struct Node<K> {
    literal: HashMap<Box<str>, Self>,
    one: Option<Box<Self>>,
    many: Option<Box<Self>>,
    /// Reached by `**`: also stays here on any segment.
    repeats: bool,
    owners: Vec<K>,
}

impl<K: Clone + PartialEq> GlobIndex<K> {
    /// An index without patterns.
    pub(crate) fn new() -> Self {
        Self { top: Node::new(false) }
    }

    /// Whether there is no pattern.
    pub(crate) fn is_empty(&self) -> bool {
        self.top.is_unused()
    }

    /// Adds a pattern of `owner`.
    pub(crate) fn insert(&mut self, glob: &Glob, owner: K) {
        let mut node = &mut self.top;
        for segment in glob.segments() {
            node = match segment {
                Segment::Literal(text) => node.literal.entry(text.into()).or_insert_with(|| Node::new(false)),
                Segment::One => node.one.get_or_insert_with(|| Box::new(Node::new(false))),
                Segment::Many => node.many.get_or_insert_with(|| Box::new(Node::new(true))),
            };
        }
        node.owners.push(owner);
    }

    /// Takes a pattern of `owner` out again.
    pub(crate) fn remove(&mut self, glob: &Glob, owner: &K) {
        let segments: Vec<Segment<'_>> = glob.segments().collect();
        self.top.remove(&segments, owner);
    }

    /// The owners of the patterns that cover a relative path.
    pub(crate) fn matching(&self, relative: &str) -> Vec<K> {
        let mut active = Vec::new();
        self.top.enter(&mut active);
        for segment in relative.split('/') {
            let mut next = Vec::new();
            for node in active {
                if node.repeats {
                    node.enter(&mut next);
                }
                if let Some(child) = node.literal.get(segment) {
                    child.enter(&mut next);
                }
                if let Some(child) = &node.one {
                    child.enter(&mut next);
                }
            }
            // A `**` node is reached both from itself and from its parent: keep each once,
            // or the list would double with every segment.
            next.sort_unstable_by_key(|node| std::ptr::from_ref(*node));
            next.dedup_by_key(|node| std::ptr::from_ref(*node));
            active = next;
        }
        active.into_iter().flat_map(|node| node.owners.iter().cloned()).collect()
    }
}

impl<K: PartialEq> Node<K> {
    fn new(repeats: bool) -> Self {
        Self { literal: HashMap::new(), one: None, many: None, repeats, owners: Vec::new() }
    }

    /// Adds this node and, since `**` may stand for nothing, the one behind it.
    fn enter<'n>(&'n self, active: &mut Vec<&'n Self>) {
        active.push(self);
        if let Some(child) = &self.many {
            child.enter(active);
        }
    }

    fn is_unused(&self) -> bool {
        self.owners.is_empty() && self.literal.is_empty() && self.one.is_none() && self.many.is_none()
    }

    fn remove(&mut self, segments: &[Segment<'_>], owner: &K) {
        let Some((first, rest)) = segments.split_first() else {
            self.owners.retain(|other| other != owner);
            return;
        };
        match first {
            Segment::Literal(text) => {
                if let Some(child) = self.literal.get_mut(*text) {
                    child.remove(rest, owner);
                    if child.is_unused() {
                        self.literal.remove(*text);
                    }
                }
            }
            Segment::One => Self::prune(&mut self.one, rest, owner),
            Segment::Many => Self::prune(&mut self.many, rest, owner),
        }
    }

    fn prune(slot: &mut Option<Box<Self>>, rest: &[Segment<'_>], owner: &K) {
        if let Some(child) = slot {
            child.remove(rest, owner);
            if child.is_unused() {
                *slot = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).expect(text)
    }

    /// The rule as protocol.md §23.2 words it, without a thought for cost.
    fn by_definition(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", rest)) => (0..=path.len()).any(|taken| by_definition(rest, &path[taken..])),
            Some((first, rest)) => path
                .split_first()
                .is_some_and(|(head, tail)| (*first == "*" || first == head) && by_definition(rest, tail)),
        }
    }

    #[test]
    fn stars_stand_for_segments() {
        for (pattern, path, expected) in [
            ("events/*", "events/a", true),
            ("events/*", "events/a/b", false),
            ("events/*", "events", false),
            ("events/**", "events", true),
            ("events/**", "events/a/b", true),
            ("**", "anything/at/all", true),
            ("**/end", "end", true),
            ("**/end", "a/b/end", true),
            ("**/end", "a/b/ending", false),
            ("a/**/b/**/c", "a/x/b/y/z/c", true),
            ("a/**/b/**/c", "a/b/c", true),
            ("a/**/b/**/c", "a/c/b", false),
            ("a*", "ab", false),
            ("a*", "a*", true),
        ] {
            assert_eq!(glob(pattern).matches(path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn spelling_is_canonical() {
        assert_eq!(glob("/a/**/**/b/").as_str(), "a/**/b");
        assert_eq!(glob("%c3%a9/*").as_str(), "%C3%A9/*");
        for bad in ["", "/", "a//b", "..", "a/%2e%2e", &"x".repeat(2000)] {
            assert!(Glob::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn many_stars_against_a_long_path_stay_cheap() {
        let hostile = glob(&["**/a"; 200].join("/"));
        let path = ["a"; 1000].join("/") + "/b";
        assert!(!hostile.matches(&path));
        let mut index = GlobIndex::new();
        index.insert(&hostile, 1);
        assert_eq!(index.matching(&path), Vec::<i32>::new());
    }

    #[test]
    fn a_removed_pattern_leaves_nothing_behind() {
        let mut index = GlobIndex::new();
        for pattern in ["a/*/b", "**", "a/**"] {
            index.insert(&glob(pattern), pattern);
        }
        for pattern in ["a/*/b", "**", "a/**"] {
            index.remove(&glob(pattern), &pattern);
        }
        assert!(index.is_empty());
    }

    fn pattern() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "*", "**"]), 1..7).prop_map(|parts| parts.join("/"))
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..8).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_definition(patterns in prop::collection::vec(pattern(), 1..8), path in path()) {
            let segments: Vec<&str> = path.split('/').collect();
            let mut index = GlobIndex::new();
            let mut expected = Vec::new();
            for (owner, text) in patterns.iter().enumerate() {
                let by_definition = by_definition(&text.split('/').collect::<Vec<_>>(), &segments);
                prop_assert_eq!(glob(text).matches(&path), by_definition, "{} on {}", text, path);
                index.insert(&glob(text), owner);
                if by_definition {
                    expected.push(owner);
                }
            }
            let mut found = index.matching(&path);
            found.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
