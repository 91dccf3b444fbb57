//! From what the driver gives to the types of the core.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{BigInt, Jsonb, Nullable, SqlType, Text, Timestamptz};
use threadline_core::{ActionId, ActionStatus, ChangeOp, Json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

/// PostgreSQL's `xid8`, a transaction id that does not wrap around; read as a [`u64`].
#[derive(Clone, Copy, Debug, SqlType)]
#[diesel(postgres_type(oid = 5069, array_oid = 271))]
pub struct Xid8;

impl FromSql<Xid8, Pg> for u64 {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self::from_be_bytes(value.as_bytes().try_into()?))
    }
}

/// A JSON text, with every digit of its numbers.
#[derive(Debug, FromSqlRow)]
pub struct JsonColumn(Json);

impl FromSql<Jsonb, Pg> for JsonColumn {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        // The first byte is the version of the format; 1 is text, and there is no other.
        let [1, text @ ..] = value.as_bytes() else { return Err("an unknown format of jsonb".into()) };
        Ok(Self(std::str::from_utf8(text)?.parse()?))
    }
}

impl From<JsonColumn> for Json {
    fn from(JsonColumn(json): JsonColumn) -> Self {
        json
    }
}

/// One that may be NULL.
#[derive(Debug, FromSqlRow)]
pub struct NullableJson(Option<Json>);

impl FromSql<Nullable<Jsonb>, Pg> for NullableJson {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Some(JsonColumn::from_sql(value)?.into())))
    }

    fn from_nullable_sql(value: Option<PgValue<'_>>) -> deserialize::Result<Self> {
        value.map_or(Ok(Self(None)), Self::from_sql)
    }
}

impl From<NullableJson> for Option<Json> {
    fn from(NullableJson(json): NullableJson) -> Self {
        json
    }
}

/// The action of a row that may have none.
#[derive(Debug, FromSqlRow)]
pub struct NullableAction(Option<ActionId>);

impl FromSql<Nullable<BigInt>, Pg> for NullableAction {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(Some(ActionId(<i64 as FromSql<BigInt, Pg>>::from_sql(value)?))))
    }

    fn from_nullable_sql(value: Option<PgValue<'_>>) -> deserialize::Result<Self> {
        value.map_or(Ok(Self(None)), Self::from_sql)
    }
}

impl From<NullableAction> for Option<ActionId> {
    fn from(NullableAction(action): NullableAction) -> Self {
        action
    }
}

/// An instant, to the microsecond; without Diesel's feature `time`, so that nobody has it who does not want it.
#[derive(Debug, FromSqlRow)]
pub struct Instant(OffsetDateTime);

impl FromSql<Timestamptz, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        const EPOCH: OffsetDateTime = datetime!(2000-01-01 0:00 UTC);

        let microseconds = i64::from_be_bytes(value.as_bytes().try_into()?);
        let instant = EPOCH.checked_add(Duration::microseconds(microseconds));
        Ok(Self(instant.ok_or("an instant out of range")?))
    }
}

impl From<Instant> for OffsetDateTime {
    fn from(Instant(instant): Instant) -> Self {
        instant
    }
}

/// What happened, as the core knows it.
#[derive(Debug, FromSqlRow)]
pub struct Op(ChangeOp);

impl FromSql<Text, Pg> for Op {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes())?.parse()?))
    }
}

impl From<Op> for ChangeOp {
    fn from(Op(op): Op) -> Self {
        op
    }
}

/// How an action ended.
#[derive(Debug, FromSqlRow)]
pub struct Status(ActionStatus);

impl FromSql<Text, Pg> for Status {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        match value.as_bytes() {
            b"ok" => Ok(Self(ActionStatus::Ok)),
            b"error" => Ok(Self(ActionStatus::Error)),
            _ => Err("an unknown status of an action".into()),
        }
    }
}

impl From<Status> for ActionStatus {
    fn from(Status(status): Status) -> Self {
        status
    }
}
