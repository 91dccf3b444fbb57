//! Many at once.

use threadline_core::Action;

use crate::place::user;
use crate::script::insert;
use crate::{Adapter, Call, Place, Step};

const TASKS: i64 = 64;
const CONNECTIONS: u32 = 4;
const ROUNDS: i64 = 4;

/// Each task writes posts under its own number, in scopes of others too, and some of its transactions fail.
pub(super) async fn no_actor_crosses<A: Adapter>(place: Place) {
    let adapter: A = place.open(CONNECTIONS).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let adapter = adapter.clone();
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    let id = 1000 * task + 10 * round;
                    let me = user(&format!("task-{task}")).correlation_id(format!("c-{task}"));
                    let scope = Step::Nested(Some(user(&format!("nested-{task}"))), vec![insert(id + 2)]);
                    let action = Step::Act(Action::new(format!("action-{task}")));
                    let mut script = vec![action, insert(id + 1), scope, insert(id + 3)];
                    if round == 1 {
                        script.push(Step::Fail);
                    }
                    let answer = adapter.transaction(&Call::new(me, script)).await;
                    assert_eq!(answer.is_err(), round == 1, "{answer:?}");
                    if round == 2 {
                        adapter.unaudited(&format!("INSERT INTO posts VALUES ({}, 'x')", id + 4)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let rows = usize::try_from(TASKS * ((ROUNDS - 1) * 3 + 1)).unwrap();
    assert_eq!((place.count("posts"), place.trail().len()), (rows, rows));
    let wrong = place.column(
        "SELECT concat_ws(' ', c.table_pk ->> 'id', t.actor_ref ->> 'id', a.name, t.correlation_id)
        FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        LEFT JOIN threadline.audit_actions a ON a.id = t.action_id,
        LATERAL (SELECT (c.table_pk ->> 'id')::bigint / 1000 AS task, (c.table_pk ->> 'id')::bigint % 10 AS kind) AS k
        WHERE concat_ws(' ', coalesce(t.actor_ref ->> 'id', '-'), coalesce(a.name, '-'), coalesce(t.correlation_id, '-'))
            <> CASE k.kind WHEN 2 THEN 'nested-' || k.task || ' - -' WHEN 4 THEN '- - -'
               ELSE 'task-' || k.task || ' action-' || k.task || ' c-' || k.task END",
    );
    assert_eq!(wrong, [""; 0]);
}
