//! Every read that an adapter offers has an example in its documentation, and every read can be made in a scope.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, TraitItem, Type, Visibility};

/// An adapter, and where its trait `Trail` and its type `InScope` are from the root of the repository.
const ADAPTERS: [(&str, &str, &str); 4] = [
    ("sqlx", "threadline-sqlx/src/trail.rs", "threadline-sqlx/src/in_scope.rs"),
    ("SeaORM", "threadline-seaorm/src/trail.rs", "threadline-seaorm/src/in_scope.rs"),
    ("Diesel", "threadline-diesel/src/read.rs", "threadline-diesel/src/in_scope.rs"),
    ("diesel-async", "threadline-diesel/src/asynchronous/trail.rs", "threadline-diesel/src/asynchronous/in_scope.rs"),
];

/// Reads that take no scope, so that a scoped handle has them `unscoped()` alone: `TableAsOf` is no `ScopedRead`.
const UNSCOPED: [&str; 1] = ["table_as_of"];

/// A public method and its documentation.
struct Read {
    name: String,
    documentation: String,
}

impl Read {
    fn new(name: &syn::Ident, attributes: &[Attribute]) -> Option<Self> {
        let mut documentation = String::new();
        for attribute in attributes {
            match &attribute.meta {
                Meta::List(list) if list.path.is_ident("doc") && list.tokens.to_string() == "hidden" => return None,
                Meta::NameValue(pair) if pair.path.is_ident("doc") => {
                    if let Expr::Lit(literal) = &pair.value
                        && let Lit::Str(line) = &literal.lit
                    {
                        documentation.push_str(line.value().strip_prefix(' ').unwrap_or(&line.value()));
                        documentation.push('\n');
                    }
                }
                _ => {}
            }
        }
        Some(Self { name: name.to_string(), documentation })
    }

    /// Whether a block of code that is compiled calls it.
    fn has_example(&self) -> bool {
        let Some((_, examples)) = self.documentation.split_once("# Examples\n") else { return false };
        let mut blocks = examples.split("```");
        std::iter::from_fn(|| blocks.nth(1)).any(|block| {
            let (info, code) = block.split_once('\n').unwrap_or_default();
            let call = format!(".{}", self.name);
            let is_called = code.match_indices(&call).any(|(at, _)| {
                let after = code.get(at + call.len()..).unwrap_or_default();
                after.starts_with('(') || after.starts_with("::<")
            });
            is_called && ["", "no_run"].contains(&info)
        })
    }
}

/// The reads of the trait `Trail` or of the type `InScope` in a file.
fn reads(source: &str) -> Vec<Read> {
    let mut found = Vec::new();
    for item in syn::parse_file(source).unwrap().items {
        match item {
            Item::Trait(item) if item.ident == "Trail" => {
                found.extend(item.items.iter().filter_map(|item| match item {
                    TraitItem::Fn(read) => Read::new(&read.sig.ident, &read.attrs),
                    _ => None,
                }));
            }
            Item::Impl(item) if item.trait_.is_none() && is_in_scope(&item.self_ty) => {
                found.extend(item.items.iter().filter_map(|item| match item {
                    ImplItem::Fn(read) if matches!(read.vis, Visibility::Public(_)) => {
                        Read::new(&read.sig.ident, &read.attrs)
                    }
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    found
}

fn is_in_scope(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "InScope"))
}

fn reads_of(file: &str) -> Vec<Read> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let found = reads(&fs::read_to_string(root.join(file)).unwrap());
    assert!(found.len() > 10, "{file} has not been read right");
    found
}

fn names(reads: &[Read]) -> BTreeSet<&str> {
    reads.iter().map(|read| read.name.as_str()).collect()
}

#[test]
fn every_read_of_every_adapter_has_an_example() {
    let mut without = Vec::new();
    for (adapter, trail, in_scope) in ADAPTERS {
        for read in reads_of(trail).iter().chain(&reads_of(in_scope)).filter(|read| !read.has_example()) {
            without.push(format!("{adapter}: {}", read.name));
        }
    }
    assert!(without.is_empty(), "reads whose documentation has no example that calls them: {without:#?}");
}

#[test]
fn every_read_can_be_made_in_a_scope() {
    for (adapter, trail, in_scope) in ADAPTERS {
        let (trail, in_scope) = (reads_of(trail), reads_of(in_scope));
        // The handle knows the kernel's schema.
        let has_scope = |name: &&str| !name.ends_with("_in") && !UNSCOPED.contains(name);
        let expected: BTreeSet<&str> = names(&trail).into_iter().filter(has_scope).collect();
        assert_eq!(names(&in_scope), expected, "{adapter}");
    }
}

#[test]
fn the_reads_have_the_same_names_on_every_adapter() {
    let of_sqlx = reads_of(ADAPTERS[0].2);
    for (adapter, _, in_scope) in ADAPTERS {
        let reads = reads_of(in_scope);
        // A blocking export writes, and that to what blocks.
        let blocks = |name: &&str| adapter != "Diesel" || !["export", "export_to_async"].contains(name);
        let expected: BTreeSet<&str> = names(&of_sqlx).into_iter().filter(blocks).collect();
        assert_eq!(names(&reads), expected, "{adapter}");
    }
}

#[test]
fn an_example_calls_what_it_is_of() {
    let read = |documentation: &str| {
        let lines = documentation.lines().map(|line| format!("    /// {line}\n")).collect::<String>();
        reads(&format!("trait Trail {{\n{lines}    fn as_of(&self);\n    #[doc(hidden)]\n    fn hidden(&self);\n}}"))
    };
    let examples = |documentation: &str| {
        let reads = read(documentation);
        assert_eq!(names(&reads), BTreeSet::from(["as_of"]));
        reads.iter().all(Read::has_example)
    };
    assert!(examples("A row.\n\n# Examples\n```\nlet row = db.as_of::<Post>(7);\n```"));
    assert!(examples("A row.\n\n# Examples\nOne:\n```\nother();\n```\nTwo:\n```no_run\ndb.as_of(7);\n```"));
    assert!(!examples("A row."));
    assert!(!examples("A row: `db.as_of(7)`.\n\n# Examples\nSee elsewhere."));
    assert!(!examples("A row.\n\n# Examples\n```\ndb.as_of_json(7);\n```"));
    assert!(!examples("A row.\n\n# Examples\n```text\ndb.as_of(7);\n```"));
    assert!(!examples("A row.\n\n# Examples\n```ignore\ndb.as_of(7);\n```"));
}
