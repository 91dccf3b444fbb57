//! `#[audited(..)]` on a model: these keys are ours, and an unknown one is an error where it stands.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Ident, LitBool, LitStr, Path, Token};

use crate::option::given_twice;

const KEYS: &str = "`table`, `schema`, `key`, `mask`, `exclude`, `except`, `placeholder`, `require_actor`, \
    `before_values`, `images`, `truncate`, `crate`";

/// What the attributes of a model say.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) table: Option<LitStr>,
    pub(crate) schema: Option<LitStr>,
    pub(crate) key: Option<Vec<Named>>,
    pub(crate) mask: Option<Vec<Named>>,
    pub(crate) exclude: Option<Vec<Named>>,
    pub(crate) except: Option<Vec<Named>>,
    pub(crate) placeholder: Option<LitStr>,
    pub(crate) require_actor: Option<Choice<bool>>,
    pub(crate) before_values: Option<Choice<bool>>,
    pub(crate) images: Option<Choice<Images>>,
    pub(crate) truncate: Option<Choice<Truncate>>,
    pub(crate) krate: Option<Path>,
}

/// A column, named by its field, or in quotes as PostgreSQL stores it when the model does not read it.
pub(crate) enum Named {
    Field(Ident),
    Column(LitStr),
}

/// What was chosen, and where.
#[derive(Clone, Copy)]
pub(crate) struct Choice<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Images {
    Full,
    Lean,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truncate {
    Event,
    Rows,
    Refuse,
}

impl Options {
    pub(crate) fn of(attributes: &[Attribute]) -> syn::Result<Self> {
        let mut options = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("audited")) {
            attribute.parse_nested_meta(|meta| options.read(&meta))?;
        }
        options.check()?;
        Ok(options)
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let key = meta.path.get_ident().ok_or_else(|| unknown(meta))?;
        match key.to_string().as_str() {
            "table" => set(&mut self.table, key, name(meta)?),
            "schema" => set(&mut self.schema, key, name(meta)?),
            "key" => set(&mut self.key, key, columns(meta)?),
            "mask" => set(&mut self.mask, key, columns(meta)?),
            "exclude" => set(&mut self.exclude, key, columns(meta)?),
            "except" => set(&mut self.except, key, columns(meta)?),
            "placeholder" => set(&mut self.placeholder, key, meta.value()?.parse()?),
            "require_actor" => set(&mut self.require_actor, key, flag(meta)?),
            "before_values" => set(&mut self.before_values, key, flag(meta)?),
            "images" => set(&mut self.images, key, word(meta, &[("full", Images::Full), ("lean", Images::Lean)])?),
            "truncate" => {
                let words = [("event", Truncate::Event), ("rows", Truncate::Rows), ("refuse", Truncate::Refuse)];
                set(&mut self.truncate, key, word(meta, &words)?)
            }
            "crate" => set(&mut self.krate, key, path(meta)?),
            _ => Err(unknown(meta)),
        }
    }

    /// Refuses combinations that no table could be captured under.
    fn check(&self) -> syn::Result<()> {
        if self.images.is_none_or(|images| images.value != Images::Lean) {
            return Ok(());
        }
        if let Some(Choice { value: false, span }) = self.before_values {
            return Err(Error::new(span, "lean images cannot be rebuilt without before-values"));
        }
        if let Some(column) = self.except.iter().flatten().next() {
            return Err(Error::new(
                column.span(),
                "lean images cannot be rebuilt when changes of a column are left out",
            ));
        }
        if let Some(Choice { value: Truncate::Event, span }) = self.truncate {
            return Err(Error::new(
                span,
                "lean images cannot be rebuilt after a TRUNCATE that is recorded as one event: use \"rows\" or \"refuse\"",
            ));
        }
        Ok(())
    }
}

impl Named {
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span(),
            Self::Column(column) => column.span(),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Self::Field(field) => field.unraw().to_string(),
            Self::Column(column) => column.value(),
        }
    }
}

fn set<T>(slot: &mut Option<T>, key: &Ident, value: T) -> syn::Result<()> {
    if slot.is_some() {
        return Err(given_twice(key));
    }
    *slot = Some(value);
    Ok(())
}

fn unknown(meta: &ParseNestedMeta<'_>) -> Error {
    Error::new_spanned(&meta.path, format!("there is no such option; there are {KEYS}"))
}

/// A name as PostgreSQL can have it.
fn name(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    let text = name.value();
    if text.is_empty() || text.contains('\0') {
        return Err(Error::new(name.span(), "no table can have this name"));
    }
    Ok(name)
}

fn columns(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Named>> {
    let content;
    syn::parenthesized!(content in meta.input);
    let named = |input: ParseStream<'_>| {
        if input.peek(LitStr) {
            input.parse().map(Named::Column)
        } else {
            input.call(Ident::parse_any).map(Named::Field)
        }
    };
    let columns = Punctuated::<Named, Token![,]>::parse_terminated_with(&content, named)
        .map_err(|error| Error::new(error.span(), "expected fields, as in `mask(email, phone)`"))?;
    if columns.is_empty() {
        return Err(meta.error("names no column"));
    }
    Ok(columns.into_iter().collect())
}

/// `key` or `key = true`.
fn flag(meta: &ParseNestedMeta<'_>) -> syn::Result<Choice<bool>> {
    let span = meta.path.segments.first().map_or_else(Span::call_site, |key| key.ident.span());
    if !meta.input.peek(Token![=]) {
        return Ok(Choice { value: true, span });
    }
    let value: LitBool = meta.value()?.parse()?;
    Ok(Choice { value: value.value, span })
}

/// One of a few words in quotes.
fn word<T: Copy>(meta: &ParseNestedMeta<'_>, words: &[(&str, T)]) -> syn::Result<Choice<T>> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    match words.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(Choice { value: *value, span: literal.span() }),
        None => {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(Error::new(literal.span(), format!("expected {}", known.join(" or "))))
        }
    }
}

/// A path in quotes, as serde takes it too.
fn path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let literal: LitStr = meta.value()?.parse()?;
    literal.parse_with(Path::parse_mod_style).map_err(|_| Error::new(literal.span(), "expected the path of a crate"))
}
