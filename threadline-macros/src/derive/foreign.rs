//! What other derive macros' attributes say: `#[sea_orm(..)]`, `#[diesel(..)]`, `#[sqlx(..)]`.
//!
//! They are theirs to check. Whatever is not looked for is skipped, whatever it looks like.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Ident, LitStr, Meta, Token};

/// The entries of every attribute of one name on one item.
pub(crate) struct Entries(Vec<Entry>);

struct Entry {
    key: Ident,
    value: Value,
}

enum Value {
    Flag,
    Assigned(TokenStream),
    List(TokenStream),
}

impl Entries {
    /// What `#[name(..)]` holds; `None` when the item has no such attribute.
    pub(crate) fn of(attributes: &[Attribute], name: &str) -> Option<Self> {
        let mut found = None;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
            let entries = found.get_or_insert_with(Vec::new);
            if let Meta::List(list) = &attribute.meta
                && let Ok(these) = list.parse_args::<Self>()
            {
                entries.extend(these.0);
            }
        }
        found.map(Self)
    }

    pub(crate) fn empty() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// The value of `key = "text"`.
    pub(crate) fn text(&self, key: &str) -> Option<LitStr> {
        self.assigned(key)
    }

    /// The value of `key = ..`, if it can be read as that.
    pub(crate) fn assigned<T: Parse>(&self, key: &str) -> Option<T> {
        match self.get(key)? {
            Value::Assigned(tokens) => syn::parse2(tokens.clone()).ok(),
            Value::Flag | Value::List(_) => None,
        }
    }

    /// The names in `key(a, b)`.
    pub(crate) fn names(&self, key: &str) -> Option<Vec<Ident>> {
        struct Names(Vec<Ident>);
        impl Parse for Names {
            fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
                let names = input.parse_terminated(Ident::parse_any, Token![,])?;
                Ok(Self(names.into_iter().collect()))
            }
        }
        match self.get(key)? {
            Value::List(tokens) => syn::parse2::<Names>(tokens.clone()).ok().map(|names| names.0),
            Value::Flag | Value::Assigned(_) => None,
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
}

impl Parse for Entries {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut entries = Vec::new();
        while !input.is_empty() {
            if input.peek(Ident::peek_any) {
                let key = input.call(Ident::parse_any)?;
                let value = value(input)?;
                entries.push(Entry { key, value });
            }
            // Whatever else stands before the comma: the rest of a path, or something that is not ours to read.
            until_comma(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(Self(entries))
    }
}

fn value(input: ParseStream<'_>) -> syn::Result<Value> {
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        return until_comma(input).map(Value::Assigned);
    }
    if input.peek(syn::token::Paren) {
        let content;
        syn::parenthesized!(content in input);
        return content.parse().map(Value::List);
    }
    Ok(Value::Flag)
}

/// The tokens up to the next comma that is not inside `<..>`: `deserialize_as = HashMap<String, i32>`.
fn until_comma(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    let (mut tokens, mut depth, mut previous) = (TokenStream::new(), 0_usize, ' ');
    while !input.is_empty() && (depth > 0 || !input.peek(Token![,])) {
        let token: TokenTree = input.parse()?;
        let this = match &token {
            TokenTree::Punct(punct) => punct.as_char(),
            _ => ' ',
        };
        match this {
            '<' => depth += 1,
            '>' if previous != '-' && previous != '=' => depth = depth.saturating_sub(1),
            _ => {}
        }
        previous = this;
        tokens.extend([token]);
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use syn::{Path, parse_quote};

    use super::*;

    #[test]
    fn what_is_not_looked_for_is_skipped() {
        let attributes: [Attribute; 3] = [
            parse_quote!(#[diesel(check_for_backend(diesel::pg::Pg, x), deserialize_as = HashMap<String, fn(u8) -> u8>)]),
            parse_quote!(#[diesel(belongs_to(User, foreign_key = owner), a::b = 3, type = 4, 5 + 6, table_name = app::posts)]),
            parse_quote!(#[diesel(primary_key(id, version), treat_none_as_null = true, embed)]),
        ];
        let entries = Entries::of(&attributes, "diesel").unwrap();
        let path: Path = entries.assigned("table_name").unwrap();
        assert_eq!(path.segments.len(), 2);
        let names: Vec<String> = entries.names("primary_key").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["id", "version"]);
        assert!(entries.has("embed") && !entries.has("foreign_key"));
        assert!(entries.text("table_name").is_none(), "it is no text");
        assert!(Entries::of(&attributes, "sea_orm").is_none());
    }

    #[test]
    fn an_attribute_that_cannot_be_read_is_left_to_its_owner() {
        let attributes: [Attribute; 2] =
            [parse_quote!(#[sea_orm = "odd"]), parse_quote!(#[sea_orm(table_name = "posts")])];
        let entries = Entries::of(&attributes, "sea_orm").unwrap();
        assert_eq!(entries.text("table_name").unwrap().value(), "posts");
    }
}
