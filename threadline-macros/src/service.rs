//! `#[audited(action = "..")]` on a function.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{
    Error, Expr, FnArg, GenericArgument, Ident, ItemFn, Member, PatIdent, PathArguments, ReturnType, Signature, Token,
    Type, TypeImplTrait, TypePath,
};

use crate::option::{self, ActionOptions};

/// The options beside an action's.
const OPTIONS: [&str; 3] = ["db", "context", "tx"];
/// What the handle is called unless the options say.
const HANDLES: [&str; 2] = ["db", "conn"];
/// What the context is called unless the options say.
const CONTEXTS: [&str; 2] = ["ctx", "context"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function: ItemFn = syn::parse2(item).map_err(|error| {
        Error::new(
            error.span(),
            format!("{error}; `#[threadline::audited]` stands on a function or method that has a body"),
        )
    })?;
    Ok(audited(arguments, &function).unwrap_or_else(|error| {
        // The function stays, or each of its callers would be one error more. Its body is never run: the error beside it is
        // one of compiling.
        let error = error.to_compile_error();
        let ItemFn { attrs, vis, sig, .. } = &function;
        quote!(#error #(#attrs)* #[allow(unused)] #vis #sig { ::core::unreachable!() })
    }))
}

fn audited(arguments: TokenStream, function: &ItemFn) -> syn::Result<TokenStream> {
    let ItemFn { attrs, vis, sig, block, .. } = function;
    let Returned { value, is_outcome } = returned(sig)?;
    let Options { db, context, tx, action } = syn::parse2(arguments)?;
    let parameters = Parameters::of(sig);
    let db = match db {
        Some(db) => db,
        None => parameters.find(&HANDLES, "the handle", "db")?,
    };
    let context = match context {
        Some(context) => context,
        None => parameters.find(&CONTEXTS, "the context", "context")?,
    };
    let tx = match tx {
        Some(tx) => tx,
        None => name_of(&db)?,
    };

    let action = action.to_tokens();
    let output = value.map(|value| quote!(-> #value));
    // Resolved where the function is: the `audited!` in scope there is its adapter's.
    let audited = Ident::new("audited", Span::call_site());
    let call = quote!(#audited!(#db, #context, #action |#tx| #output #block));
    let ended = if sig.asyncness.is_some() { quote!(#call.await) } else { call };
    let outcome = Ident::new("__outcome", Span::mixed_site());
    let value = if is_outcome { ended } else { quote!(#ended.map(|#outcome| #outcome.value)) };
    Ok(quote!(#(#attrs)* #vis #sig { #value }))
}

/// What stands in the attribute.
#[derive(Default)]
struct Options {
    db: Option<Expr>,
    context: Option<Expr>,
    tx: Option<Ident>,
    action: ActionOptions,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            if !option::is_next(input) {
                return Err(input.error("expected an option such as `action = \"..\"`"));
            }
            let key = input.call(Ident::parse_any)?;
            match key.to_string().as_str() {
                "db" => set(&mut options.db, &key, option::value(&key, input)?)?,
                "context" => set(&mut options.context, &key, option::value(&key, input)?)?,
                "tx" => {
                    input.parse::<Token![=]>()?;
                    set(&mut options.tx, &key, input.parse()?)?;
                }
                _ if options.action.read(&key, input)? => {}
                _ => return Err(option::unknown(&key, &OPTIONS)),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        options.action.check()?;
        Ok(options)
    }
}

fn set<T>(slot: &mut Option<T>, key: &Ident, value: T) -> syn::Result<()> {
    if slot.is_some() {
        return Err(option::given_twice(key));
    }
    *slot = Some(value);
    Ok(())
}

/// The names that a function's parameters bind.
struct Parameters(Vec<Ident>);

impl Parameters {
    fn of(signature: &Signature) -> Self {
        struct Names(Vec<Ident>);
        impl<'ast> Visit<'ast> for Names {
            fn visit_pat_ident(&mut self, name: &'ast PatIdent) {
                self.0.push(name.ident.clone());
            }
        }
        let mut names = Names(Vec::new());
        for input in &signature.inputs {
            if let FnArg::Typed(typed) = input {
                names.visit_pat(&typed.pat);
            }
        }
        Self(names.0)
    }

    /// The first of `candidates` that is a parameter.
    fn find(&self, candidates: &[&str], what: &str, option: &str) -> syn::Result<Expr> {
        let found = candidates.iter().find_map(|candidate| self.0.iter().find(|name| name == candidate));
        match found {
            Some(name) => syn::parse2(name.to_token_stream()),
            None => {
                let names = candidates.join("` or `");
                let problem = format!("no parameter is called `{names}`: say which one is {what}, `{option} = ..`");
                Err(Error::new(Span::call_site(), problem))
            }
        }
    }
}

/// What the transaction is called inside: as the handle is outside, which it hides.
fn name_of(handle: &Expr) -> syn::Result<Ident> {
    let name = match handle {
        Expr::Path(path) => path.path.get_ident().filter(|name| *name != "self"),
        Expr::Field(field) => match &field.member {
            Member::Named(name) => Some(name),
            Member::Unnamed(_) => None,
        },
        Expr::MethodCall(call) => Some(&call.method),
        Expr::Reference(inner) => return name_of(&inner.expr),
        Expr::Paren(inner) => return name_of(&inner.expr),
        Expr::Unary(inner) => return name_of(&inner.expr),
        _ => None,
    };
    let Some(mut name) = name.cloned() else {
        return Err(Error::new_spanned(handle, "say what the transaction is called inside: `tx = name`"));
    };
    // As written by this macro, for lints of names that hide others.
    name.set_span(Span::call_site().located_at(name.span()));
    Ok(name)
}

/// What the function returns.
struct Returned {
    /// The type that its body returns, where a closure can be told.
    value: Option<Type>,
    /// Whether the caller is given the whole outcome.
    is_outcome: bool,
}

fn returned(signature: &Signature) -> syn::Result<Returned> {
    const PROBLEM: &str = "an audited function returns a `Result`: `Ok` commits and `Err` rolls back";
    let ReturnType::Type(_, declared) = &signature.output else {
        return Err(Error::new(signature.ident.span(), PROBLEM));
    };
    let Type::Path(path) = &**declared else { return Err(Error::new(declared.span(), PROBLEM)) };
    if path.path.segments.last().is_some_and(|segment| segment.ident == "Pin") {
        return Err(Error::new(declared.span(), "make it an `async fn`: a boxed future cannot be looked into"));
    }
    if has_impl_trait(declared) {
        return Ok(Returned { value: None, is_outcome: false });
    }
    match value_of_outcome(path) {
        Some(value) => Ok(Returned { value: Some(value), is_outcome: true }),
        None => Ok(Returned { value: Some((**declared).clone()), is_outcome: false }),
    }
}

/// `Result<T, E>` of `Result<Outcome<T>, E>`.
fn value_of_outcome(declared: &TypePath) -> Option<Type> {
    let mut declared = declared.clone();
    let PathArguments::AngleBracketed(arguments) = &mut declared.path.segments.last_mut()?.arguments else {
        return None;
    };
    let GenericArgument::Type(first) = arguments.args.first_mut()? else { return None };
    let Type::Path(outcome) = &*first else { return None };
    let outcome = outcome.path.segments.last().filter(|segment| segment.ident == "Outcome")?;
    let PathArguments::AngleBracketed(of) = &outcome.arguments else { return None };
    let GenericArgument::Type(value) = of.args.first()? else { return None };
    *first = value.clone();
    Some(Type::Path(declared))
}

fn has_impl_trait(ty: &Type) -> bool {
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_type_impl_trait(&mut self, _: &'ast TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut finder = Finder(false);
    finder.visit_type(ty);
    finder.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: TokenStream, item: TokenStream) -> String {
        let function = expand(arguments, item).unwrap();
        prettyplease::unparse(&syn::parse2(function).unwrap())
    }

    fn refusal(arguments: TokenStream, item: TokenStream) -> String {
        let function: ItemFn = syn::parse2(item).unwrap();
        audited(arguments, &function).unwrap_err().to_string()
    }

    #[test]
    fn expansions() {
        insta::assert_snapshot!(
            "service_function",
            expanded(
                quote!(action = "post.published", reason = format!("asked for by {who}")),
                quote! {
                    /// Publishes a post.
                    pub async fn publish(db: &AuditedPool, ctx: &AuditContext, id: i64) -> Result<Post, AppError> {
                        let post = load(db, id).await?;
                        Ok(post)
                    }
                }
            )
        );
        insta::assert_snapshot!(
            "service_method",
            expanded(
                quote!(action = PUBLISHED, db = self.db, context = &self.context, tx = tx),
                quote! {
                    async fn publish(&self, id: i64) -> AppResult<Outcome<Post>> {
                        write(tx, id).await
                    }
                }
            )
        );
        insta::assert_snapshot!(
            "service_that_blocks",
            expanded(
                quote!(),
                quote! {
                    fn titles(conn: &mut PgConnection, context: AuditContext) -> Result<impl Iterator<Item = String>, Error> {
                        load(conn)
                    }
                }
            )
        );
    }

    #[test]
    fn parameters_are_found_in_patterns() {
        let item = quote!(
            async fn f(State(db): State<Db>, Extension(ctx): Extension<Context>) -> Result<(), E> {
                Ok(())
            }
        );
        assert!(expand(quote!(), item).unwrap().to_string().starts_with("async fn f"));
    }

    #[test]
    fn mistakes_are_named() {
        let good = quote!(
            async fn f(db: Db, ctx: Context) -> Result<(), E> {
                Ok(())
            }
        );
        for (arguments, item, problem) in [
            (
                quote!(),
                quote!(
                    async fn f(pool: Db, ctx: Context) -> Result<(), E> {}
                ),
                "no parameter is called `db` or `conn`",
            ),
            (
                quote!(),
                quote!(
                    async fn f(db: Db) -> Result<(), E> {}
                ),
                "no parameter is called `ctx` or `context`",
            ),
            (
                quote!(),
                quote!(
                    async fn f(db: Db, ctx: Context) {}
                ),
                "an audited function returns a `Result`",
            ),
            (
                quote!(),
                quote!(
                    async fn f(db: Db, ctx: Context) -> (u8, u8) {}
                ),
                "an audited function returns a `Result`",
            ),
            (
                quote!(),
                quote!(
                    fn f(db: Db, ctx: Context) -> Pin<Box<dyn Future>> {}
                ),
                "make it an `async fn`",
            ),
            (quote!(db = dbs[0]), good.clone(), "say what the transaction is called inside"),
            (quote!(db = self), good.clone(), "say what the transaction is called inside"),
            (quote!(reson = "a"), good.clone(), "there is no option `reson`"),
            (quote!(reason = "a"), good.clone(), "`reason` says something about an action"),
            (quote!(db = a, db = b), good.clone(), "`db` is given twice"),
            (quote!("post.published"), good, "expected an option such as `action = \"..\"`"),
        ] {
            let refusal = refusal(arguments.clone(), item);
            assert!(refusal.starts_with(problem), "{arguments}: {refusal}");
        }
    }

    #[test]
    fn a_function_with_a_mistake_stays_for_its_callers() {
        let item = quote!(
            pub async fn f(db: Db) -> Result<(), E> {
                Ok(())
            }
        );
        let expanded = expand(quote!(reson = "a"), item).unwrap().to_string();
        assert!(expanded.contains("compile_error") && expanded.contains("pub async fn f (db : Db)"), "{expanded}");
    }
}
