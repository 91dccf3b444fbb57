use super::*;

fn expanded(input: TokenStream) -> String {
    prettyplease::unparse(&syn::parse2(expand(input).unwrap()).unwrap())
}

fn refusal(input: TokenStream) -> String {
    expand(input).unwrap_err().to_string()
}

#[test]
fn a_model_of_sea_orm() {
    insta::assert_snapshot!(
        "derive_sea_orm",
        expanded(quote! {
            #[sea_orm(table_name = "posts", schema_name = "blog", comment = "x", rename_all = "camelCase")]
            #[audited(mask(author_email), exclude(password_hash, "legacy_hash"), require_actor)]
            pub struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub id: i64,
                #[sea_orm(column_name = "Title", column_type = "Text", unique)]
                pub title: String,
                pub author_email: Option<String>,
                pub password_hash: std::option::Option<String>,
                #[sea_orm(ignore)]
                pub cached: u8,
                #[sea_orm(has_many)]
                pub comments: HasMany<super::comment::Entity>,
                #[sea_orm(belongs_to, from = "author_id", to = "id")]
                pub author: BelongsTo<Option<super::author::Entity>>,
            }
        })
    );
}

#[test]
fn a_model_of_diesel() {
    insta::assert_snapshot!(
        "derive_diesel",
        expanded(quote! {
            #[diesel(table_name = crate::schema::posts, primary_key(blog, number))]
            #[diesel(check_for_backend(diesel::pg::Pg))]
            #[audited(mask(mail), except(views), before_values = false, placeholder = "***", truncate = "refuse")]
            struct Post<'a> {
                blog: i32,
                number: i32,
                #[diesel(column_name = author_mail, deserialize_as = Option<Wrapper<'a, String>>)]
                mail: Option<Cow<'a, str>>,
                views: i64,
                r#type: String,
                #[diesel(embed)]
                stamps: Stamps,
            }
        })
    );
}

#[test]
fn a_model_of_sqlx() {
    insta::assert_snapshot!(
        "derive_sqlx",
        expanded(quote! {
            #[sqlx(rename_all = "PascalCase")]
            #[audited(table = "Odd Posts", schema = "app", key(blog_id, number), images = "lean", crate = "threadline_core")]
            struct Post {
                blog_id: i32,
                #[sqlx(rename = "no")]
                number: i32,
                #[sqlx(default)]
                body_text: Option<String>,
                #[sqlx(skip)]
                cached: u8,
                #[sqlx(flatten)]
                stamps: Stamps,
            }
        })
    );
}

#[test]
fn the_schema_alone_can_be_said_for_diesel() {
    let expanded = expand(quote! {
        #[diesel(table_name = posts)]
        #[audited(schema = "blog")]
        struct Post { id: i32 }
    });
    let expanded = expanded.unwrap().to_string();
    assert!(expanded.contains("table_of_query") && expanded.contains("Some (\"blog\")"), "{expanded}");
}

#[test]
fn a_table_by_name_wins() {
    let expanded = expand(quote! {
        #[sea_orm(table_name = "posts", schema_name = "blog")]
        #[audited(table = "articles")]
        struct Model { id: i32 }
    });
    assert!(expanded.unwrap().to_string().contains("AuditedTable :: new (\"blog\" , \"articles\")"));
}

#[test]
fn an_unknown_option_is_named() {
    for attribute in [quote!(masked(email)), quote!(sea_orm::mask(email)), quote!(table_name = "posts")] {
        let refusal = refusal(quote!(
            #[audited(#attribute)]
            struct Post {
                email: String,
            }
        ));
        assert!(refusal.starts_with("there is no such option; there are `table`"), "{refusal}");
    }
}

#[test]
fn mistakes_are_named() {
    for (attribute, problem) in [
        (quote!(mask(emial)), "no column is read into a field `emial`; there are `id`, `email`"),
        (quote!(key("id")), "name the field, without quotes"),
        (quote!(key(none)), "no column is read into a field `none`"),
        (quote!(mask(email), exclude(email)), "this column is named twice"),
        (quote!(mask(email, "email")), "this column is named twice"),
        (quote!(exclude("gone", "gone")), "this column is named twice"),
        (quote!(mask(id)), "this column is of the key"),
        (quote!(mask(email), mask(id)), "`mask` is given twice"),
        (quote!(mask()), "names no column"),
        (quote!(mask(3)), "expected fields, as in `mask(email, phone)`"),
        (quote!(mask = "email"), "expected parentheses"),
        (quote!(images = "small"), "expected \"full\" or \"lean\""),
        (quote!(images = "lean", before_values = false), "lean images cannot be rebuilt without before-values"),
        (quote!(images = "lean", except(email)), "lean images cannot be rebuilt when changes of a column are left out"),
        (quote!(images = "lean", truncate = "event"), "lean images cannot be rebuilt after a TRUNCATE"),
        (quote!(schema = ""), "no table can have this name"),
        (quote!(crate = "a b"), "expected the path of a crate"),
        (quote!(before_values = 1), "expected boolean literal"),
    ] {
        let refusal = refusal(quote!(
            #[audited(table = "posts", #attribute)]
            struct Post {
                id: i64,
                email: String,
            }
        ));
        assert!(refusal.starts_with(problem), "{attribute}: {refusal}");
    }
}

#[test]
fn what_is_no_model_is_refused() {
    assert!(
        refusal(quote!(
            struct Post {
                id: i64,
            }
        ))
        .starts_with("nothing says which table this is")
    );
    for item in [
        quote!(
            enum Post {}
        ),
        quote!(
            struct Post(i64);
        ),
        quote!(
            struct Post;
        ),
    ] {
        assert!(refusal(quote!(#[audited(table = "posts")] #item)).starts_with("`Audited` is for structs"));
    }
    let on_field = quote!(
        #[audited(table = "posts")]
        struct Post {
            #[audited(mask)]
            email: String,
        }
    );
    assert!(refusal(on_field).starts_with("`#[audited(..)]` stands on the struct"));
}
