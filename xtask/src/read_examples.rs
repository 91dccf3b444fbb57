//! Every read that an adapter offers has an example in its documentation, which runs, and every read can be made in a scope.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use syn::{Attribute, Block, Expr, ImplItem, Item, ItemFn, Lit, Meta, Stmt, TraitItem, Type, Visibility};

/// An adapter, and where its trait `Trail` and its type `InScope` are from the root of the repository.
const ADAPTERS: [(&str, &str, &str); 4] = [
    ("sqlx", "threadline-sqlx/src/trail.rs", "threadline-sqlx/src/in_scope.rs"),
    ("SeaORM", "threadline-seaorm/src/trail.rs", "threadline-seaorm/src/in_scope.rs"),
    ("Diesel", "threadline-diesel/src/read.rs", "threadline-diesel/src/in_scope.rs"),
    ("diesel-async", "threadline-diesel/src/asynchronous/trail.rs", "threadline-diesel/src/asynchronous/in_scope.rs"),
];

/// Reads that take no scope, so that a scoped handle has them `unscoped()` alone: `TableAsOf` is no `ScopedRead`.
const UNSCOPED: [&str; 1] = ["table_as_of"];

/// A public method, or what it belongs to, and its documentation.
struct Documented {
    name: String,
    documentation: String,
}

impl Documented {
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

    /// The blocks of code: what is said about each, and its lines.
    fn blocks(&self) -> impl Iterator<Item = (&str, &str)> {
        self.documentation.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap_or_default())
    }

    /// Whether a block of code calls it.
    fn has_example(&self) -> bool {
        let call = format!(".{}", self.name);
        self.documentation.contains("# Examples\n")
            && self.blocks().any(|(_, code)| {
                code.match_indices(&call).any(|(at, _)| {
                    let after = code.get(at + call.len()..).unwrap_or_default();
                    after.starts_with('(') || after.starts_with("::<")
                })
            })
    }

    /// Whether every block of code runs, and all of it.
    fn runs(&self) -> bool {
        self.blocks().all(|(info, code)| info.is_empty() && calls_its_functions(code))
    }
}

/// Whether each function in the code of an example is called, or is the one that rustdoc calls.
fn calls_its_functions(code: &str) -> bool {
    // What the reader does not see.
    let code = code.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let Ok(body) = syn::parse_str::<Block>(&format!("{{{code}}}")) else { return false };
    functions(&body).iter().all(|function| {
        let name = function.sig.ident.to_string();
        name == "main" || code.matches(&format!("{name}(")).count() > 1
    })
}

/// The functions in a block, and those inside them.
fn functions(block: &Block) -> Vec<&ItemFn> {
    let mut found = Vec::new();
    for statement in &block.stmts {
        if let Stmt::Item(Item::Fn(function)) = statement {
            found.push(function);
            found.extend(functions(&function.block));
        }
    }
    found
}

/// What a file has: the trait `Trail` or the type `InScope`, and its reads.
#[derive(Default)]
struct Reads {
    of: Vec<Documented>,
    reads: Vec<Documented>,
}

impl Reads {
    fn parse(source: &str) -> Self {
        let mut found = Self::default();
        for item in syn::parse_file(source).unwrap().items {
            match item {
                Item::Trait(item) if item.ident == "Trail" => {
                    found.of.extend(Documented::new(&item.ident, &item.attrs));
                    found.reads.extend(item.items.iter().filter_map(|item| match item {
                        TraitItem::Fn(read) => Documented::new(&read.sig.ident, &read.attrs),
                        _ => None,
                    }));
                }
                Item::Struct(item) if item.ident == "InScope" => {
                    found.of.extend(Documented::new(&item.ident, &item.attrs));
                }
                Item::Impl(item) if item.trait_.is_none() && is_in_scope(&item.self_ty) => {
                    found.reads.extend(item.items.iter().filter_map(|item| match item {
                        ImplItem::Fn(read) if matches!(read.vis, Visibility::Public(_)) => {
                            Documented::new(&read.sig.ident, &read.attrs)
                        }
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        found
    }

    fn of_file(file: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let found = Self::parse(&fs::read_to_string(root.join(file)).unwrap());
        assert!(found.reads.len() > 10 && found.of.len() == 1, "{file} has not been read right");
        found
    }

    fn names(&self) -> BTreeSet<&str> {
        self.reads.iter().map(|read| read.name.as_str()).collect()
    }
}

fn is_in_scope(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.segments.last().is_some_and(|segment| segment.ident == "InScope"))
}

#[test]
fn every_read_of_every_adapter_has_an_example() {
    let mut without = Vec::new();
    for (adapter, trail, in_scope) in ADAPTERS {
        for file in [trail, in_scope].map(Reads::of_file) {
            let reads = file.reads.iter().filter(|read| !read.has_example());
            without.extend(reads.map(|read| format!("{adapter}: {}", read.name)));
        }
    }
    assert!(without.is_empty(), "reads whose documentation has no example that calls them: {without:#?}");
}

#[test]
fn every_example_of_a_read_runs() {
    let mut idle = Vec::new();
    for (adapter, trail, in_scope) in ADAPTERS {
        for file in [trail, in_scope].map(Reads::of_file) {
            let idlers = file.of.iter().chain(&file.reads).filter(|documented| !documented.runs());
            idle.extend(idlers.map(|documented| format!("{adapter}: {}", documented.name)));
        }
    }
    assert!(idle.is_empty(), "examples that are only compiled, or not all of which is called: {idle:#?}");
}

#[test]
fn every_read_can_be_made_in_a_scope() {
    for (adapter, trail, in_scope) in ADAPTERS {
        let (trail, in_scope) = (Reads::of_file(trail), Reads::of_file(in_scope));
        // The handle knows the kernel's schema.
        let has_scope = |name: &&str| !name.ends_with("_in") && !UNSCOPED.contains(name);
        let expected: BTreeSet<&str> = trail.names().into_iter().filter(has_scope).collect();
        assert_eq!(in_scope.names(), expected, "{adapter}");
    }
}

#[test]
fn the_reads_have_the_same_names_on_every_adapter() {
    let (_, trail, in_scope) = ADAPTERS[0];
    let of_sqlx = [trail, in_scope].map(Reads::of_file);
    for (adapter, trail, in_scope) in ADAPTERS {
        // A blocking export writes, and that to what blocks.
        let asynchronous = ["export", "export_in", "export_to_async", "export_to_async_in"];
        let is_there = |name: &&str| adapter != "Diesel" || !asynchronous.contains(name);
        for (of_sqlx, file) in of_sqlx.iter().zip([trail, in_scope]) {
            let expected: BTreeSet<&str> = of_sqlx.names().into_iter().filter(is_there).collect();
            assert_eq!(Reads::of_file(file).names(), expected, "{adapter}");
        }
    }
}

/// The read `as_of` with this documentation.
fn as_of(documentation: &str) -> Documented {
    let lines = documentation.lines().map(|line| format!("    /// {line}\n")).collect::<String>();
    let source = format!("trait Trail {{\n{lines}    fn as_of(&self);\n    #[doc(hidden)]\n    fn hidden(&self);\n}}");
    let mut found = Reads::parse(&source);
    assert_eq!(found.names(), BTreeSet::from(["as_of"]));
    found.reads.remove(0)
}

#[test]
fn an_example_calls_what_it_is_of() {
    let has_example = |documentation: &str| as_of(documentation).has_example();
    assert!(has_example("A row.\n\n# Examples\n```\nlet row = db.as_of::<Post>(7);\n```"));
    assert!(has_example("A row.\n\n# Examples\nOne:\n```\nother();\n```\nTwo:\n```\ndb.as_of(7);\n```"));
    assert!(!has_example("A row."));
    assert!(!has_example("A row: `db.as_of(7)`.\n\n# Examples\nSee elsewhere."));
    assert!(!has_example("A row.\n\n# Examples\n```\ndb.as_of_json(7);\n```"));
}

#[test]
fn an_example_that_is_only_compiled_does_not_run() {
    let runs = |block: &str| as_of(&format!("A row.\n\n# Examples\n{block}")).runs();
    assert!(runs("```\ndb.as_of(7);\n```"));
    assert!(runs("```\n# fn main() { read(|db| {\n#[derive(FromRow)]\nstruct Post;\ndb.as_of(7);\n# }) }\n```"));
    assert!(runs("```\nfn then(db: Db) {\n    db.as_of(7);\n}\nthen(db);\n```"));
    for info in ["no_run", "ignore", "text", "compile_fail", "should_panic"] {
        assert!(!runs(&format!("```{info}\ndb.as_of(7);\n```")), "{info}");
    }
    assert!(!runs("```\nother();\n```\n```no_run\ndb.as_of(7);\n```"));
    assert!(!runs("```\n# async fn example(db: Db) {\ndb.as_of(7);\n# }\n```"));
    assert!(!runs("```\n# fn main() {\n# fn example(db: Db) {\ndb.as_of(7);\n# }\n# }\n```"));
}
