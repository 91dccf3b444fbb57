//! Users' own tests: a probe inside the one transaction that the test rolls back.

use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
use threadline_core::{Action, FinishProbe, StartProbe};
use threadline_seaorm::{Trail, attach};

use crate::support::{Target, insert_post, user};

#[tokio::test]
async fn a_test_sees_whether_code_wrote_with_an_actor_and_an_action() {
    /// The code under test.
    async fn publish(tx: &sea_orm::DatabaseTransaction) -> Result<(), DbErr> {
        let audited = attach(&user("42"), tx).await?;
        audited.record_action(&Action::new("post.published")).await?;
        audited.execute_unprepared("UPDATE posts SET published = true").await?;
        Ok(audited.detach().await?)
    }
    let target = Target::new();
    let tx = target.connection(1).begin().await.unwrap();
    insert_post(&tx, 7).await.unwrap();
    let probe = tx.run(&StartProbe).await.unwrap();
    publish(&tx).await.unwrap();
    let probed = tx.run(&FinishProbe(&probe)).await.unwrap();
    probed.verify().unwrap();
    assert_eq!(probed.changes().len(), 1);

    let probe = tx.run(&StartProbe).await.unwrap();
    tx.execute_unprepared("DELETE FROM posts").await.unwrap();
    assert!(tx.run(&FinishProbe(&probe)).await.unwrap().verify().is_err());
    tx.rollback().await.unwrap();
    assert_eq!(target.count("posts"), 0);
}
