//! A tokenizer for SQL and PL/pgSQL text, just good enough to lint it.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unquoted word, in lower case.
    Word,
    /// A quoted name, without its quotes.
    Quoted,
    Literal,
    Number,
    Operator,
    /// One of `( ) [ ] , ; . $n` and the like.
    Other,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text == text && !matches!(self.kind, Kind::Quoted | Kind::Literal)
    }

    /// A name, quoted or not.
    pub(crate) fn is_name(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted)
    }
}

const OPERATORS: &str = "+-*/<>=~!@#%^&|`?";

/// Splits `source` into tokens; comments and white space vanish.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let line = source[..source.len() - rest.len()].lines().count();
        let mut push = |kind, text: &str| {
            found.push(Token { kind, text: text.to_owned(), line });
        };
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '\'' || rest.starts_with("E'") || rest.starts_with("e'") {
            let length = literal_length(rest);
            push(Kind::Literal, &rest[..length]);
            length
        } else if first == '"' {
            let length = 1 + closing(&rest[1..], '"', false);
            push(Kind::Quoted, &rest[1..length - 1].replace("\"\"", "\""));
            length
        } else if let Some(length) = dollar_length(rest) {
            push(Kind::Literal, &rest[..length]);
            length
        } else if first.is_alphabetic() || first == '_' {
            let length = span(rest, |c| c.is_alphanumeric() || c == '_' || c == '$');
            push(Kind::Word, &rest[..length].to_lowercase());
            length
        } else if first.is_ascii_digit() {
            // `1..n` is a range of PL/pgSQL, not a number with two points.
            let mut length = span(rest, |c| c.is_ascii_digit());
            if rest[length..].starts_with('.') && !rest[length..].starts_with("..") {
                length += 1 + span(&rest[length + 1..], |c| c.is_ascii_digit());
            }
            push(Kind::Number, &rest[..length]);
            length
        } else if let Some(sign) =
            [":=", "::", "=>", "..", "<<", ">>"].iter().find(|sign| rest.starts_with(**sign) && is_whole(rest, sign))
        {
            push(Kind::Other, sign);
            sign.len()
        } else if OPERATORS.contains(first) {
            let length = span(rest, |c| OPERATORS.contains(c));
            push(Kind::Operator, &rest[..length]);
            length
        } else {
            push(Kind::Other, &rest[..first.len_utf8()]);
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// `<<` and `=>` may be the beginning of a longer operator.
fn is_whole(rest: &str, sign: &str) -> bool {
    !sign.contains(['<', '>', '=']) || sign == ":=" || !rest[sign.len()..].starts_with(|c| OPERATORS.contains(c))
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn literal_length(rest: &str) -> usize {
    let escapes = !rest.starts_with('\'');
    let open = if escapes { 2 } else { 1 };
    open + closing(&rest[open..], '\'', escapes)
}

/// Up to and with the quote that closes; a doubled or escaped one does not.
fn closing(text: &str, quote: char, escapes: bool) -> usize {
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            if characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

fn dollar_length(rest: &str) -> Option<usize> {
    let tag_length = 2 + span(rest.strip_prefix('$')?, |c| c.is_alphanumeric() || c == '_');
    let tag = rest.get(..tag_length)?;
    (tag.ends_with('$') && !tag[1..].starts_with(|c: char| c.is_ascii_digit()))
        .then(|| rest[tag_length..].find(tag).map_or(rest.len(), |end| tag_length * 2 + end))
}
