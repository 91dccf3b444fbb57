//! Types of key columns, and the key values numbered 1, 2, 3 ..

use super::sql::literal;

/// Texts that keys 1 to 12 of a text key have.
const TEXT_KEYS: &[&str] =
    &["a", "A", "", " ", "it's", "\"quoted\"", "back\\slash", "ünï", "☃", "null", "{\"a\": 1}", "a\nb"];

/// Keys below or equal to this number are met again and again by the statements of a case.
pub const POOL: u64 = 12;

/// The type of a key column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// `bigint`
    BigInt,
    /// `integer`
    Int,
    /// `numeric`, where 1.0 and 1.00 are equal keys and different values.
    Numeric,
    /// `double precision`, where 0 and -0 are equal keys and different values.
    Double,
    /// A domain over `integer`.
    DomainInt,
    /// `date`
    Date,
    /// `timestamptz`
    Timestamp,
    /// `text`
    Text,
    /// `char(6)`
    Char,
    /// `uuid`
    Uuid,
}

impl KeyKind {
    /// All of them, the common ones more than once.
    pub const WEIGHTED: &'static [Self] = &[
        Self::BigInt,
        Self::BigInt,
        Self::BigInt,
        Self::Int,
        Self::Int,
        Self::Numeric,
        Self::Numeric,
        Self::Double,
        Self::DomainInt,
        Self::Date,
        Self::Timestamp,
        Self::Text,
        Self::Text,
        Self::Char,
        Self::Uuid,
        Self::Uuid,
    ];

    /// The type's name.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::BigInt => "bigint",
            Self::Int => "integer",
            Self::Numeric => "numeric",
            Self::Double => "double precision",
            Self::DomainInt => "@s@.\"Key Number\"",
            Self::Date => "date",
            Self::Timestamp => "timestamptz",
            Self::Text => "text",
            Self::Char => "char(6)",
            Self::Uuid => "uuid",
        }
    }

    /// Whether `+ 1` gives another key.
    #[must_use]
    pub fn adds(self) -> bool {
        matches!(self, Self::BigInt | Self::Int | Self::Numeric | Self::Double | Self::DomainInt | Self::Date)
    }

    /// The expression of key number `n`. Equal keys can be written in several ways: `style` picks one.
    #[must_use]
    pub fn value(self, n: u64, style: u8) -> String {
        match self {
            Self::BigInt => format!("{n}::bigint"),
            Self::Int => format!("{n}::integer"),
            Self::DomainInt => format!("{n}::{}", self.sql()),
            Self::Numeric => match style % 3 {
                0 => format!("{n}::numeric"),
                1 => format!("{n}.0::numeric"),
                _ => format!("{n}.00::numeric"),
            },
            Self::Double => match (n, style % 2) {
                (1, 0) => "'0'::double precision".to_owned(),
                (1, _) => "'-0'::double precision".to_owned(),
                _ => format!("{n}::double precision"),
            },
            Self::Date => format!("('2024-01-01'::date + {n})"),
            Self::Timestamp => format!("('2024-01-01 00:00:00+00'::timestamptz + {n} * '1 hour'::interval)"),
            Self::Text => {
                text_key(n).map_or_else(|| format!("'k{n}'::text"), |text| format!("{}::text", literal(text)))
            }
            Self::Char => format!("'c{n}'::char(6)"),
            Self::Uuid => format!("'00000000-0000-4000-8000-{n:012x}'::uuid"),
        }
    }

    /// The text of key number `n`, where that needs no computing.
    #[must_use]
    pub fn text(self, n: u64) -> Option<String> {
        match self {
            Self::BigInt | Self::Int | Self::Numeric | Self::Double | Self::DomainInt => Some(n.to_string()),
            Self::Char => Some(format!("c{n}")),
            Self::Uuid => Some(format!("00000000-0000-4000-8000-{n:012x}")),
            Self::Text => Some(text_key(n).map_or_else(|| format!("k{n}"), str::to_owned)),
            Self::Date | Self::Timestamp => None,
        }
    }

    /// The expression of the key that the integer expression `g` numbers.
    #[must_use]
    pub fn series(self, g: &str) -> String {
        match self {
            Self::BigInt => format!("({g})::bigint"),
            Self::Int => format!("({g})::integer"),
            Self::DomainInt => format!("({g})::{}", self.sql()),
            Self::Numeric => format!("({g}) + 0.0"),
            Self::Double => format!("({g})::double precision"),
            Self::Date => format!("'2024-01-01'::date + ({g})"),
            Self::Timestamp => format!("'2024-01-01 00:00:00+00'::timestamptz + ({g}) * '1 hour'::interval"),
            Self::Text => format!("'k' || ({g})"),
            Self::Char => format!("('c' || ({g}))::char(6)"),
            Self::Uuid => format!("('00000000-0000-4000-8000-' || lpad(to_hex({g}), 12, '0'))::uuid"),
        }
    }
}

fn text_key(n: u64) -> Option<&'static str> {
    usize::try_from(n).ok().and_then(|n| TEXT_KEYS.get(n.wrapping_sub(1))).copied()
}
