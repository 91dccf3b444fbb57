//! `action!("post.published")`

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, LitStr};

use crate::text;

pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let literal: LitStr = syn::parse2(input).map_err(|error| {
        Error::new(error.span(), "expected the name of the action as one string literal, such as \"post.published\"")
    })?;
    text::check_line(&literal, "name", text::WORD)?;
    Ok(quote!(::threadline::Action::new(#literal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(input: TokenStream) -> String {
        expand(input).unwrap_err().to_string()
    }

    #[test]
    fn a_good_name_becomes_an_action() {
        assert_eq!(
            expand(quote!("post.published")).unwrap().to_string(),
            ":: threadline :: Action :: new (\"post.published\")"
        );
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        assert_eq!(refusal(quote!(" ")), "the name of the action is empty");
        assert_eq!(refusal(quote!(" a")), "the name of the action begins or ends with white space");
        assert_eq!(refusal(quote!("a\nb")), "the name of the action contains a control character");
        let long = "x".repeat(256);
        assert_eq!(refusal(quote!(#long)), "the name of the action is longer than 255 characters");
        assert!(refusal(quote!(name)).contains("string literal"));
        assert!(refusal(quote!("a", "b")).contains("string literal"));
    }
}
