//! `action = "..", reason = ..`: what `audited!` and `#[audited]` record as the action.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Expr, Ident, Lit, LitStr, Token};

use crate::text;

/// The fields of an action beside its name, each a method of `threadline_core::Action` of that name.
const FIELDS: [&str; 9] =
    ["status", "verb", "category", "reason", "comment", "correlation_id", "request_id", "job_id", "actor"];

/// The options read so far, in the order given.
#[derive(Default)]
pub(crate) struct ActionOptions {
    name: Option<Expr>,
    fields: Vec<(Ident, Expr)>,
}

/// Whether an option comes next: `name = ..`, which is no expression of interest anywhere these macros take one.
pub(crate) fn is_next(input: ParseStream<'_>) -> bool {
    input.peek(Ident::peek_any) && input.peek2(Token![=]) && !input.peek2(Token![==])
}

impl ActionOptions {
    /// Reads `= value` after `key`, if the key is one of an action's; answers whether it was.
    pub(crate) fn read(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<bool> {
        let name = key.to_string();
        let is_name = name == "action";
        if !is_name && !FIELDS.contains(&name.as_str()) {
            return Ok(false);
        }
        if (is_name && self.name.is_some()) || self.fields.iter().any(|(field, _)| field == key) {
            return Err(given_twice(key));
        }
        let value = value(key, input)?;
        if let Some(literal) = string(&value) {
            match name.as_str() {
                "action" => text::check_line(literal, "name", text::WORD)?,
                "verb" | "category" => text::check_line(literal, &name, text::WORD)?,
                "correlation_id" | "request_id" | "job_id" => text::check_line(literal, &name, text::ID)?,
                _ => {}
            }
        }
        if is_name {
            self.name = Some(value);
        } else {
            self.fields.push((key.clone(), value));
        }
        Ok(true)
    }

    /// Refuses what belongs to an action when there is none.
    pub(crate) fn check(&self) -> syn::Result<()> {
        match self.fields.first() {
            Some((field, _)) if self.name.is_none() => Err(Error::new(
                field.span(),
                format!("`{field}` says something about an action, and there is none: add `action = \"..\"`"),
            )),
            _ => Ok(()),
        }
    }

    /// The action as an `Option` of `krate`'s `Action`.
    pub(crate) fn to_option(&self, krate: &TokenStream) -> TokenStream {
        let Some(name) = &self.name else { return quote!(::core::option::Option::None) };
        let fields = self.fields.iter().map(|(field, value)| quote!(.#field(#value)));
        quote!(::core::option::Option::Some(#krate::__private::Action::new(#name) #(#fields)*))
    }

    /// The options as they were written, for another macro to read.
    pub(crate) fn to_tokens(&self) -> TokenStream {
        let name = self.name.iter().map(|name| quote!(action = #name,));
        let fields = self.fields.iter().map(|(field, value)| quote!(#field = #value,));
        quote!(#(#name)* #(#fields)*)
    }
}

/// The value after `key`.
pub(crate) fn value(key: &Ident, input: ParseStream<'_>) -> syn::Result<Expr> {
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(Error::new(key.span(), format!("`{key}` has no value: write `{key} = ..`")));
    }
    input.parse()
}

pub(crate) fn given_twice(key: &Ident) -> Error {
    Error::new(key.span(), format!("`{key}` is given twice"))
}

/// An option that there is not; `others` are those of the macro beside the action's.
pub(crate) fn unknown(key: &Ident, others: &[&str]) -> Error {
    let known: Vec<String> = ["action"].iter().chain(&FIELDS).chain(others).map(|known| format!("`{known}`")).collect();
    Error::new(key.span(), format!("there is no option `{key}`; there are {}", known.join(", ")))
}

fn string(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        Expr::Paren(inner) => string(&inner.expr),
        Expr::Group(inner) => string(&inner.expr),
        _ => None,
    }
}
