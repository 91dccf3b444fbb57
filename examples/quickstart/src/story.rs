//! What happens to the shop.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use threadline::TransactionId;
use threadline::sqlx::prelude::*;
use time::OffsetDateTime;

use crate::shop::{Bank, Shop, ShopError};

/// Planted, to look for in the trail afterwards.
pub(crate) const SECRETS: [&str; 3] = ["ada@example.com", "grace@example.com", "tok_4242424242"];

/// What is worth asking the trail about afterwards.
#[derive(Debug)]
pub(crate) struct Story {
    /// Between the first order and the correction of a price.
    pub(crate) before_correction: OffsetDateTime,
    /// The order whose payment was declined.
    pub(crate) declined_order: i64,
    /// The audit transaction of a save that changed nothing: there is none.
    pub(crate) idle_save: Option<TransactionId>,
    /// How many orders the bulk update shipped.
    pub(crate) shipped: u64,
}

pub(crate) async fn tell(shop: &Shop, url: &str) -> Result<Story, Box<dyn std::error::Error>> {
    // A context says who and under which request. Middleware would build these.
    let import = AuditContext::new(ActorRef::system("catalog-import")?);
    let ada = AuditContext::new(ActorRef::user("ada")?).source("web").request_id("req-1").correlation_id("web-1001");
    let grace =
        AuditContext::new(ActorRef::user("grace")?).source("app").request_id("req-2").correlation_id("app-2002");

    shop.load_catalog(&import, &[("TEA", "Green tea", "4.50", 100), ("CUP", "Porcelain cup", "12.00", 40)]).await?;
    let (ada_id, grace_id) = (
        shop.sign_up(&ada, "Ada", SECRETS[0], SECRETS[2]).await?,
        shop.sign_up(&grace, "Grace", SECRETS[1], SECRETS[2]).await?,
    );

    // Two customers order; a third order will not be paid.
    let first = shop.place_order(&ada, ada_id, &[("TEA", 2), ("CUP", 1)]).await?;
    let second = shop.place_order(&grace, grace_id, &[("TEA", 5)]).await?;
    let third = shop.place_order(&grace, grace_id, &[("CUP", 4)]).await?;
    let before_correction = now(shop).await?;

    // An administrator acts for somebody else, and says why.
    let kim = ActorRef::admin("kim")?.on_behalf_of(ActorRef::user("lin-from-purchasing")?)?;
    let support = AuditContext::new(kim).source("backoffice").correlation_id("ticket-77");
    shop.correct_price(&support, "CUP", "10.50", "the supplier's list was misread").await?;

    // Two payments succeed. The third is declined after the order was marked: rolled back, and recorded as tried.
    shop.pay(&ada, first, Bank::Accepts).await?;
    shop.pay(&grace, second, Bank::Accepts).await?;
    match shop.pay(&grace, third, Bank::Declines("insufficient funds")).await {
        Err(ShopError::Declined(_)) => {}
        other => other?,
    }

    // A form is saved as it was loaded.
    let idle_save = shop.save_profile(&ada, ada_id, "Ada", SECRETS[0]).await?.transaction_id;

    // A job ships what is paid, in one statement.
    let nightly = AuditContext::new(ActorRef::job("shipping")?).job_id("job-5150").correlation_id("nightly-12");
    let shipped = shop.ship_paid_orders(&nightly).await?;

    // The order that was not paid goes, and its lines with it.
    shop.cancel_order(&grace, third, "changed my mind").await?;

    psql_at_3_am(url).await?;
    Ok(Story { before_correction, declined_order: third, idle_save, shipped })
}

/// Somebody who has never heard of the service.
async fn psql_at_3_am(url: &str) -> Result<(), sqlx::Error> {
    let mut psql: PgConnection = PgConnectOptions::from_str(url)?.application_name("psql").connect().await?;
    sqlx::query("UPDATE products SET stock = 500 WHERE sku = 'TEA'").execute(&mut psql).await?;
    psql.close().await
}

/// The server's clock, which the trail goes by.
async fn now(shop: &Shop) -> Result<OffsetDateTime, sqlx::Error> {
    sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(shop.db.unaudited()).await
}
