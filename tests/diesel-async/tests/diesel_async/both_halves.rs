//! The blocking and the asynchronous half in one program: both preludes in one scope, one trail.

use diesel::Connection;
use diesel::pg::PgConnection;
use threadline_diesel::asynchronous::prelude::*;
use threadline_diesel::prelude::*;

use crate::support::{Target, insert_post, user};

#[tokio::test]
async fn the_preludes_stand_side_by_side() {
    let target = Target::new();
    let mut conn = target.connect().await;
    let mut blocking = PgConnection::establish(&target.url).unwrap();

    conn.audited(&user("async"), async |conn| {
        conn.record_action(&Action::new("a")).await?;
        insert_post(conn, 1).await
    })
    .await
    .unwrap();
    blocking
        .audited(&user("blocking"), |conn| {
            conn.record_action(&Action::new("b"))?;
            diesel::RunQueryDsl::execute(diesel::sql_query("INSERT INTO posts VALUES (2, '')"), conn)
        })
        .unwrap();

    assert_eq!(target.trail(), ["posts insert 1 async a", "posts insert 2 blocking b"]);
    let query = Timeline::new().table("posts");
    assert_eq!(conn.timeline(&query).await.unwrap().entries.len(), blocking.timeline(&query).unwrap().entries.len());
}
