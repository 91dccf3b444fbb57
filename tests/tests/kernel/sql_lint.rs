//! The rule that keeps other people's code out of the kernel's: in SQL that runs with our rights under a `search_path`
//! that is not ours, nothing is resolved by name alone. Operators, functions, types and relations are qualified, and
//! syntax that hides an operator is not used.

use crate::sql_tokens::{Kind, Token, tokens};

const SCHEMAS: [&str; 2] = ["pg_catalog", "threadline"];

/// What may stand before a parenthesis without being a function.
const BEFORE_PARENTHESIS: [&str; 39] = [
    "coalesce",
    "exists",
    "values",
    "row",
    "not",
    "and",
    "or",
    "as",
    "on",
    "over",
    "from",
    "select",
    "when",
    "then",
    "else",
    "if",
    "elsif",
    "any",
    "where",
    "using",
    "execute",
    "lateral",
    "returning",
    "by",
    "union",
    "all",
    "into",
    "operator",
    "array",
    "join",
    "with",
    "is",
    "limit",
    "loop",
    "perform",
    "return",
    "case",
    "raise",
    "filter",
];

/// What may stand before a literal without being the literal's type.
const BEFORE_LITERAL: [&str; 15] = [
    "select",
    "then",
    "else",
    "and",
    "or",
    "when",
    "exception",
    "notice",
    "return",
    "by",
    "like",
    "not",
    "from",
    "array",
    "on",
];

/// Syntax that looks an operator or a function up by its name.
const HIDDEN: [&str; 12] = [
    "between", "like", "ilike", "similar", "nullif", "overlaps", "natural", "greatest", "least", "extract", "isnull",
    "notnull",
];

/// Options of RAISE, which take `=`.
const RAISE_OPTIONS: [&str; 8] = ["errcode", "constraint", "schema", "table", "column", "hint", "message", "detail"];

/// Where a FROM clause ends.
const AFTER_FROM: [&str; 14] = [
    "where",
    "group",
    "order",
    "limit",
    "offset",
    "union",
    "except",
    "intersect",
    "loop",
    "returning",
    "into",
    "having",
    "window",
    "then",
];

/// The transition tables, which hide any relation of the same name.
const TRANSITION: [&str; 2] = ["new_rows", "old_rows"];

/// Statements put together at run time: every name in them is quoted and qualified.
const DYNAMIC: [&str; 2] = ["'DELETE FROM %s %I.%I'", "'SELECT EXISTS (SELECT FROM %s %I.%I)'"];

/// Everything in `source` (a body in SQL or PL/pgSQL) that breaks the rule.
pub(crate) fn violations(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let mut lint = Lint { tokens: &tokens, found: Vec::new() };
    lint.everywhere();
    lint.declarations();
    lint.relations();
    lint.found
}

struct Lint<'a> {
    tokens: &'a [Token],
    found: Vec<String>,
}

impl Lint<'_> {
    fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is(text))
    }

    fn before(&self, at: usize, distance: usize, text: &str) -> bool {
        at >= distance && self.is(at - distance, text)
    }

    fn before_any(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().any(|text| self.before(at, 1, text))
    }

    /// Whether the name at this place is written `pg_catalog.name` or `threadline.name`.
    fn is_qualified(&self, at: usize) -> bool {
        self.before(at, 1, ".")
            && at >= 2
            && self.tokens[at - 2].is_name()
            && SCHEMAS.contains(&self.tokens[at - 2].text.as_str())
            && !self.before(at, 3, ".")
    }

    /// Whether a qualified name begins here.
    fn begins_qualified(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_name() && SCHEMAS.contains(&token.text.as_str()))
            && self.is(at + 1, ".")
    }

    fn report(&mut self, at: usize, what: &str) {
        let from = at.saturating_sub(4);
        let to = self.tokens.len().min(at + 5);
        let around: Vec<&str> = self.tokens[from..to].iter().map(|token| token.text.as_str()).collect();
        self.found.push(format!("line {}: {what}: .. {} ..", self.tokens[at].line, around.join(" ")));
    }

    fn everywhere(&mut self) {
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            match token.kind {
                Kind::Operator if !self.is_operator_allowed(at) => self.report(at, "operator by name"),
                Kind::Word | Kind::Quoted => self.name(at),
                Kind::Literal => self.literal(at),
                Kind::Other if token.is("::") && !self.begins_qualified(at + 1) => self.report(at, "type by name"),
                _ => {}
            }
        }
    }

    fn is_operator_allowed(&self, at: usize) -> bool {
        let text = self.tokens[at].text.as_str();
        let qualified = self.before(at, 1, ".")
            && self.before(at, 2, "pg_catalog")
            && self.before(at, 3, "(")
            && self.before(at, 4, "operator");
        let star = text == "*" && (self.before_any(at, &[".", "(", "select"]));
        let assigned = text == "=" && (self.is(at + 1, "row_count") || self.before_any(at, &RAISE_OPTIONS));
        let option = text == "#" && self.is(at + 1, "variable_conflict");
        // A minus before a constant becomes part of it in the grammar.
        let negative = text == "-"
            && self.tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Number)
            && self.before_any(at, &["(", ",", "else", "then", ":="]);
        qualified || star || assigned || option || negative
    }

    fn name(&mut self, at: usize) {
        let token = &self.tokens[at];
        let word = token.text.as_str();
        if self.is(at + 1, "(") && !self.is_qualified(at) {
            let alias = self.before(at, 1, "as");
            let syntax = token.kind == Kind::Word && (BEFORE_PARENTHESIS.contains(&word) || word == "in");
            if !alias && !syntax {
                self.report(at, "function by name");
            }
        }
        if token.kind == Kind::Quoted {
            return;
        }
        if HIDDEN.contains(&word) {
            self.report(at, "hidden operator");
        }
        // A field of this name is none of these.
        if self.before(at, 1, ".") {
            return;
        }
        match word {
            "distinct" if self.is(at + 1, "from") && !self.is(at + 2, "null") => self.report(at, "hidden operator"),
            "in" if !self.before(at, 2, "for") && !self.before(at, 2, "foreach") => self.report(at, "hidden operator"),
            "case" if !self.is(at + 1, "when") && !self.before(at, 1, "end") => self.report(at, "hidden operator"),
            "any" | "all" | "some" if self.is(at + 1, "(") && !self.before(at, 6, "operator") => {
                self.report(at, "hidden operator");
            }
            "collate" if !self.begins_qualified(at + 1) => self.report(at, "collation by name"),
            "at" if self.is(at + 1, "time") && self.is(at + 2, "zone") => self.report(at, "function by name"),
            _ => {}
        }
    }

    fn literal(&mut self, at: usize) {
        let Some(before) = at.checked_sub(1).map(|before| &self.tokens[before]) else { return };
        if before.is_name() && !BEFORE_LITERAL.contains(&before.text.as_str()) {
            self.report(at, "type by name");
        }
        // EXECUTE pg_catalog.format('..': the text is SQL that nothing else here sees.
        let executed =
            before.is("execute") || (before.is("(") && self.before(at, 2, "format") && self.before(at, 5, "execute"));
        if executed && !DYNAMIC.contains(&self.tokens[at].text.as_str()) {
            self.report(at, "dynamic statement");
        }
    }

    /// `DECLARE name type := value; ..`: PL/pgSQL looks the type up by name, `record` too.
    fn declarations(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            if !self.is(at, "declare") {
                at += 1;
                continue;
            }
            at += 1;
            while at < self.tokens.len() && !self.is(at, "begin") {
                let of_type = if self.is(at + 1, "constant") { at + 2 } else { at + 1 };
                if !self.begins_qualified(of_type) {
                    self.report(of_type.min(self.tokens.len() - 1), "type by name");
                }
                while at < self.tokens.len() && !self.is(at, ";") {
                    at += 1;
                }
                at += 1;
            }
        }
    }

    /// What FROM, JOIN, UPDATE and INSERT INTO name.
    fn relations(&mut self) {
        let mut depth = 0_usize;
        let mut clauses: Vec<usize> = Vec::new();
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            if token.is("(") {
                depth += 1;
            } else if token.is(")") {
                depth = depth.saturating_sub(1);
                clauses.retain(|clause| *clause <= depth);
            } else if token.is(";") || (AFTER_FROM.iter().any(|word| token.is(word)) && clauses.last() == Some(&depth))
            {
                clauses.retain(|clause| *clause != depth);
            } else if token.is("from") && !self.before(at, 1, "distinct") {
                clauses.push(depth);
                self.relation(at + 1);
            } else if token.is("join") || (token.is(",") && clauses.last() == Some(&depth)) {
                self.relation(at + 1);
            } else if token.is("using") && clauses.last() == Some(&depth) {
                self.report(at, "hidden operator");
            } else if (token.is("update") && !self.before_any(at, &["or", "do", "for", "."]))
                || (token.is("into") && self.before(at, 1, "insert"))
            {
                self.relation(at + 1);
            }
        }
    }

    fn relation(&mut self, at: usize) {
        let at = if self.is(at, "only") || self.is(at, "lateral") { at + 1 } else { at };
        let transition = TRANSITION.iter().any(|name| self.is(at, name)) && !self.is(at + 1, ".");
        if !self.is(at, "(") && !self.begins_qualified(at) && !transition && at < self.tokens.len() {
            self.report(at, "relation by name");
        }
    }
}
