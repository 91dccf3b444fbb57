//! `audited!(db, context, action = "..", |tx| { .. })`
//!
//! Each adapter has a macro of that name, which hands over here with a prefix: the way to the adapter and the form of its
//! hidden hook.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprClosure, Ident, ReturnType, Token};

use crate::closure::error_type;
use crate::option::{self, ActionOptions};

const SHAPE: &str = "`audited!(db, context, action = \"..\", |tx| { .. })`";

pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let Call { adapter, handle, context, options, closure } = syn::parse2(input)?;
    let krate = &adapter.krate;
    let action = options.to_option(krate);
    let body = adapter.closure(&closure)?;
    // The handle's span, so that a value that is no handle is what the message points at.
    let at_handle = Span::call_site().located_at(handle.span());
    let hook = Ident::new("__audited", at_handle);
    let call = quote!((#handle).#hook(&(#context), #action, #body));
    let Some(open) = error_type(&closure).open() else { return Ok(call) };
    // All of it stands in the scrutinee: temporaries of the handle and of the context live until the future is awaited.
    let made = Ident::new("__made", Span::mixed_site());
    let error = Ident::new("__error", Span::mixed_site());
    let error_of = match adapter.form {
        Form::Blocking => quote!(error_of_result),
        Form::Method => quote!(error_of_future),
    };
    let span = Span::mixed_site().located_at(open);
    let krate_here = relocated(krate, open);
    let give_back = quote_spanned!(span=> return #krate_here::__private::give_back(#error));
    Ok(quote! {
        match #call {
            #made => {
                if let ::core::option::Option::Some(#error) = #krate::__private::#error_of(&#made) {
                    #give_back;
                }
                #made
            }
        }
    })
}

/// What `audited!` was given.
struct Call {
    adapter: Adapter,
    handle: Expr,
    context: Expr,
    options: ActionOptions,
    closure: ExprClosure,
}

/// What the adapter's own macro put in front: `[$crate, method]`.
struct Adapter {
    krate: TokenStream,
    form: Form,
}

/// How an adapter begins an audited transaction.
#[derive(Clone, Copy)]
enum Form {
    /// An asynchronous method of the handle.
    Method,
    /// A method of the handle that blocks.
    Blocking,
}

impl Parse for Adapter {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        syn::bracketed!(content in input);
        let mut krate = TokenStream::new();
        while !content.peek(Token![,]) {
            krate.extend([content.parse::<proc_macro2::TokenTree>()?]);
        }
        content.parse::<Token![,]>()?;
        let form: Ident = content.parse()?;
        let form = match form.to_string().as_str() {
            "method" => Form::Method,
            "blocking" => Form::Blocking,
            _ => return Err(Error::new(form.span(), "an adapter's form is `method` or `blocking`")),
        };
        Ok(Self { krate, form })
    }
}

impl Adapter {
    /// The closure in the form that the adapter takes.
    fn closure(&self, closure: &ExprClosure) -> syn::Result<TokenStream> {
        let ExprClosure { attrs, asyncness, capture, inputs, output, body, .. } = closure;
        let asyncness = match (self.form, asyncness) {
            (Form::Blocking, Some(word)) => {
                return Err(Error::new(
                    word.span,
                    "this adapter blocks: leave out `async`, and run `audited!` without `await`",
                ));
            }
            (Form::Blocking, None) => None,
            (Form::Method, _) => Some(Token![async](closure.inputs_begin.span)),
        };
        // Asynchronous closures coerce to their declared type only what follows a `return` of that type (Rust 1.95).
        let body = match output {
            ReturnType::Type(_, declared) if asyncness.is_some() => {
                let value = Ident::new("__value", Span::mixed_site());
                quote! {{
                    if let ::core::option::Option::Some(#value) = ::core::option::Option::<#declared>::None {
                        return #value;
                    }
                    #body
                }}
            }
            ReturnType::Type(..) | ReturnType::Default => body.to_token_stream(),
        };
        Ok(quote!(#(#attrs)* #asyncness #capture |#inputs| #output #body))
    }
}

impl Parse for Call {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let adapter = input.parse()?;
        let handle =
            argument(input, "the handle is missing: the pool, session, transaction or connection comes first")?;
        let context = argument(input, "the context is missing: it comes second, after the handle")?;
        let mut options = ActionOptions::default();
        let closure = loop {
            if input.is_empty() {
                return Err(missing(input, "the closure is missing: it comes last"));
            }
            if !option::is_next(input) {
                break closure(input)?;
            }
            let key = input.call(Ident::parse_any)?;
            if !options.read(&key, input)? {
                return Err(option::unknown(&key, &[]));
            }
            comma(input)?;
        };
        options.check()?;
        Ok(Self { adapter, handle, context, options, closure })
    }
}

/// One of the two expressions in front.
fn argument(input: ParseStream<'_>, problem: &str) -> syn::Result<Expr> {
    if input.is_empty() || option::is_next(input) {
        return Err(missing(input, problem));
    }
    let argument: Expr = input.parse()?;
    if matches!(argument, Expr::Closure(_)) {
        return Err(Error::new_spanned(argument, format!("{problem}, as in {SHAPE}")));
    }
    comma(input)?;
    Ok(argument)
}

fn comma(input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        input.parse::<Option<Token![,]>>()?;
        return Ok(());
    }
    Err(input.error("expected `,`"))
}

fn closure(input: ParseStream<'_>) -> syn::Result<ExprClosure> {
    let expression: Expr = input.parse()?;
    let Expr::Closure(closure) = expression else {
        return Err(Error::new_spanned(
            expression,
            format!("expected an option such as `reason = \"..\"` or the closure, as in {SHAPE}"),
        ));
    };
    input.parse::<Option<Token![,]>>()?;
    if !input.is_empty() {
        return Err(input.error("the closure comes last: put options in front of it"));
    }
    if closure.inputs.len() != 1 {
        let ExprClosure { inputs_begin, inputs, inputs_end, .. } = &closure;
        return Err(Error::new_spanned(
            quote!(#inputs_begin #inputs #inputs_end),
            "the closure takes the transaction and nothing else: `|tx| { .. }`",
        ));
    }
    Ok(closure)
}

/// Something is not there: at what stands in its place, or at the whole call.
fn missing(input: ParseStream<'_>, problem: &str) -> Error {
    let message = format!("{problem}, as in {SHAPE}");
    if input.is_empty() { Error::new(Span::call_site(), message) } else { input.error(message) }
}

/// The same way to the adapter, for messages that shall point elsewhere.
fn relocated(krate: &TokenStream, span: Span) -> TokenStream {
    krate
        .clone()
        .into_iter()
        .map(|mut token| {
            token.set_span(token.span().located_at(span));
            token
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(input: TokenStream) -> String {
        let call = expand(input).unwrap();
        let file = syn::parse2(quote!(async fn handler() { #call; })).unwrap();
        prettyplease::unparse(&file)
    }

    fn refusal(input: &TokenStream) -> String {
        let input = quote!([adapter, method] #input);
        expand(input).unwrap_err().to_string()
    }

    #[test]
    fn expansions() {
        insta::assert_snapshot!(
            "call_with_action",
            expanded(quote!([adapter, method] db, &context, action = "post.published", reason = why(), |tx| {
                publish(tx, id).await?;
                Ok(())
            }))
        );
        insta::assert_snapshot!(
            "call_that_tells_its_error",
            expanded(quote!([::adapter, method] state.db, context, move |tx| publish(tx, id).await))
        );
        insta::assert_snapshot!(
            "call_with_a_declared_type",
            expanded(quote!([adapter, method] db, context, |tx| -> Result<Box<dyn Row>, Error> { read(tx).await }))
        );
        insta::assert_snapshot!(
            "call_with_an_async_closure",
            expanded(quote!([adapter, method] tx, context, action = NAME, async |tx| { Ok::<_, Error>(()) }))
        );
        insta::assert_snapshot!(
            "call_that_blocks",
            expanded(quote!([adapter, blocking] connection, context, action = "a", status = status, |c| { Ok(()) },))
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        for (input, problem) in [
            (quote!(), "the handle is missing"),
            (quote!(action = "a", |tx| Ok(())), "the handle is missing"),
            (quote!(|tx| Ok(())), "the handle is missing"),
            (quote!(db), "the context is missing"),
            (quote!(db, action = "a", |tx| Ok(())), "the context is missing"),
            (quote!(db, |tx| Ok(())), "the context is missing"),
            (quote!(db, context), "the closure is missing"),
            (quote!(db, context, action = "a"), "the closure is missing"),
            (quote!(db, context, publish), "expected an option such as `reason = \"..\"` or the closure"),
            (quote!(db, context, || Ok(())), "the closure takes the transaction and nothing else"),
            (quote!(db, context, |a, b| Ok(())), "the closure takes the transaction and nothing else"),
            (quote!(db, context, |tx| Ok(()), action = "a"), "the closure comes last"),
            (quote!(db context, |tx| Ok(())), "expected `,`"),
        ] {
            let refusal = refusal(&input);
            assert!(refusal.starts_with(problem), "{input}: {refusal}");
        }
    }

    #[test]
    fn options_are_checked() {
        for (options, problem) in [
            (quote!(reson = "a"), "there is no option `reson`; there are `action`, `status`, `verb`"),
            (quote!(action = "a", action = "b"), "`action` is given twice"),
            (quote!(action = "a", verb = "b", verb = "c"), "`verb` is given twice"),
            (quote!(action =), "`action` has no value"),
            (quote!(reason = "a"), "`reason` says something about an action, and there is none"),
            (quote!(action = " "), "the name of the action is empty"),
            (quote!(action = "a", verb = "b "), "the verb of the action begins or ends with white space"),
            (quote!(action = "a", request_id = "b\n"), "the request_id of the action begins or ends with white space"),
        ] {
            let refusal = refusal(&quote!(db, context, #options, |tx| Ok(())));
            assert!(refusal.starts_with(problem), "{options}: {refusal}");
        }
    }

    #[test]
    fn a_blocking_adapter_takes_no_async_closure() {
        let refusal = expand(quote!([adapter, blocking] c, context, async |c| Ok(()))).unwrap_err();
        assert!(refusal.to_string().starts_with("this adapter blocks"));
    }
}
