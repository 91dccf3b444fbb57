//! How SeaORM and sqlx make the name of a column from the name of a field.

use heck::{
    ToKebabCase, ToLowerCamelCase, ToShoutyKebabCase, ToShoutySnakeCase, ToSnakeCase, ToTitleCase, ToUpperCamelCase,
};

/// SeaORM's: `rename_all` as the struct says it. The entity macro goes by way of the column's variant.
pub(crate) fn sea_orm(field: &str, rename_all: Option<&str>, enum_name: Option<&str>) -> String {
    let variant = field.to_upper_camel_case();
    match rename_all {
        Some("camel_case" | "PascalCase") => variant,
        Some("camelCase" | "mixed_case") => variant.to_lower_camel_case(),
        Some("snake_case" | "snek_case") => variant.to_snake_case(),
        Some("kebab_case" | "kebab-case") => variant.to_kebab_case(),
        Some("SCREAMING-KEBAB-CASE") => variant.to_shouty_kebab_case(),
        Some("shouty_snake_case" | "shouty_snek_case" | "SCREAMING_SNAKE_CASE") => variant.to_shouty_snake_case(),
        Some("title_case") => variant.to_title_case(),
        Some("lowercase") => variant.to_lowercase(),
        Some("UPPERCASE") => variant.to_uppercase(),
        // An unknown one is SeaORM's to refuse.
        Some(_) | None if field != variant.to_snake_case() => field.to_snake_case(),
        Some(_) | None => enum_name.map_or_else(|| field.to_owned(), ToSnakeCase::to_snake_case),
    }
}

/// sqlx's.
pub(crate) fn sqlx(field: &str, rename_all: Option<&str>) -> String {
    match rename_all {
        Some("lowercase") => field.to_lowercase(),
        Some("snake_case") => field.to_snake_case(),
        Some("UPPERCASE") => field.to_uppercase(),
        Some("SCREAMING_SNAKE_CASE") => field.to_shouty_snake_case(),
        Some("kebab-case") => field.to_kebab_case(),
        Some("camelCase") => field.to_lower_camel_case(),
        Some("PascalCase") => field.to_upper_camel_case(),
        // An unknown one is sqlx's to refuse.
        Some(_) | None => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_do_not_agree() {
        assert_eq!(sea_orm("author_email", Some("lowercase"), None), "authoremail");
        assert_eq!(sqlx("author_email", Some("lowercase")), "author_email");
    }

    #[test]
    fn sea_orm_snakes_what_it_does_not_rename() {
        assert_eq!(sea_orm("author_email", None, None), "author_email");
        assert_eq!(sea_orm("_private", None, None), "private");
        assert_eq!(sea_orm("line2", None, None), "line2");
        assert_eq!(sea_orm("created", None, Some("MadeAt")), "made_at");
        assert_eq!(sea_orm("author_email", Some("camelCase"), Some("Other")), "authorEmail");
        assert_eq!(sea_orm("author_email", Some("PascalCase"), None), "AuthorEmail");
    }

    #[test]
    fn sqlx_takes_the_field_as_it_is() {
        assert_eq!(sqlx("_private", None), "_private");
        assert_eq!(sqlx("author_email", Some("camelCase")), "authorEmail");
        assert_eq!(sqlx("author_email", Some("kebab-case")), "author-email");
    }
}
