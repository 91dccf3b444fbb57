//! `#[derive(Audited)]`

mod case;
mod columns;
mod foreign;
mod options;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Path, parse_quote};

use columns::{Column, Model, Table};
use options::{Images, Named, Options, Truncate};

pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(input)?;
    let options = Options::of(&input.attrs)?;
    let model = Model::of(&input, &options)?;
    let krate = options.krate.clone().unwrap_or_else(|| parse_quote!(::threadline));

    let table = table(&krate, &model.table);
    let policy = policy(&model, &options)?;
    let policy = (!policy.is_empty()).then(|| quote!(.policy(#krate::CapturePolicy::new()#policy)));
    let columns = model.columns.iter().map(|column| {
        let name = column.name();
        let label = column.label().map(|label| quote!(.labelled(#label)));
        let key = column.key.then(|| quote!(.key()));
        let nullable = column.nullable.then(|| quote!(.nullable()));
        quote!(#krate::ModelColumn::new(#name)#label #key #nullable)
    });

    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #generics #krate::Audited for #ident #arguments #conditions {
            fn audited_table() -> #krate::AuditedTable {
                #table #policy
            }

            fn columns() -> &'static [#krate::ModelColumn] {
                &const { [#(#columns),*] }
            }
        }
    })
}

fn table(krate: &Path, table: &Table) -> TokenStream {
    match table {
        Table::Named { schema, table } => {
            let schema = schema.as_ref().map_or_else(|| quote!("public"), |schema| quote!(#schema));
            quote!(#krate::AuditedTable::new(#schema, #table))
        }
        // Only Diesel knows what `table!` says about the schema and the name in SQL.
        Table::OfDiesel { schema, path } => {
            let schema = match schema {
                Some(schema) => quote!(::core::option::Option::Some(#schema)),
                None => quote!(::core::option::Option::None),
            };
            quote! {
                #krate::__private::table_of_query(
                    &::diesel::debug_query::<::diesel::pg::Pg, _>(&::diesel::QueryDsl::count(#path::table)),
                    #schema,
                )
            }
        }
    }
}

/// The calls that make the policy of a new one.
fn policy(model: &Model, options: &Options) -> syn::Result<TokenStream> {
    let Options { mask, exclude, except, placeholder, require_actor, before_values, images, truncate, .. } = options;
    check_once(model, exclude.iter().chain(mask).flatten())?;
    check_once(model, except.iter().flatten())?;
    for named in mask.iter().chain(exclude).flatten() {
        if model.find(named)?.is_some_and(|column| column.key) {
            return Err(Error::new(named.span(), "this column is of the key, and the trail finds rows by their keys"));
        }
    }

    let mut policy = TokenStream::new();
    for (method, columns) in [(quote!(mask), mask), (quote!(exclude), exclude), (quote!(except_columns), except)] {
        if let Some(columns) = columns {
            let names = model.names(columns)?;
            policy.extend(quote!(.#method([#(#names),*])));
        }
    }
    if let Some(placeholder) = placeholder {
        policy.extend(quote!(.mask_placeholder(#placeholder)));
    }
    if require_actor.is_some_and(|require| require.value) {
        policy.extend(quote!(.require_actor()));
    }
    if before_values.is_some_and(|keep| !keep.value) {
        policy.extend(quote!(.without_before_values()));
    }
    if images.is_some_and(|images| images.value == Images::Lean) {
        policy.extend(quote!(.lean()));
    }
    if let Some(truncate) = truncate {
        let krate = options.krate.clone().unwrap_or_else(|| parse_quote!(::threadline));
        let variant = match truncate.value {
            Truncate::Event => quote!(Event),
            Truncate::Rows => quote!(Rows),
            Truncate::Refuse => quote!(Refuse),
        };
        policy.extend(quote!(.truncate(#krate::OnTruncate::#variant)));
    }
    Ok(policy)
}

/// Refuses a column that is named twice, in one list or in two that cannot both be.
fn check_once<'a>(model: &Model, named: impl Iterator<Item = &'a Named>) -> syn::Result<()> {
    let mut seen: Vec<(&Named, Option<&Column>)> = Vec::new();
    for named in named {
        let column = model.find(named)?;
        let twice = seen.iter().any(|(earlier, known)| match (column, known) {
            (Some(column), Some(known)) => std::ptr::eq(column, *known),
            (None, None) => named.text() == earlier.text(),
            _ => false,
        });
        if twice {
            return Err(Error::new(
                named.span(),
                "this column is named twice: exclude leaves it out, mask records that it changed",
            ));
        }
        seen.push((named, column));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
