//! Recognising a deadlock without its SQLSTATE, which Diesel does not show.

/// Whether the details of an error are those of a deadlock.
///
/// They have one line for each process: "Process 12 waits for ShareLock on transaction 34; blocked by process 56." The
/// text is translated, but in every language its first number is the process that waits and its last the one in its way,
/// and the lines close a circle.
pub(crate) fn is_deadlock(details: Option<&str>) -> bool {
    let Some(waits) = details.and_then(|details| details.lines().map(Wait::read).collect::<Option<Vec<_>>>()) else {
        return false;
    };
    let following = waits.iter().cycle().skip(1);
    waits.len() > 1 && waits.iter().zip(following).all(|(one, next)| one.blocked_by == next.process)
}

struct Wait<'a> {
    process: &'a str,
    blocked_by: &'a str,
}

impl<'a> Wait<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
        let (process, blocked_by) = (numbers.next()?, numbers.next_back()?);
        // What is waited for has at least one number too.
        numbers.next().map(|_| Self { process, blocked_by })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_every_language() {
        for wait in [
            "Process {1} waits for ShareLock on transaction 7; blocked by process {2}.",
            "Process {1} waits for ShareLock on tuple (0,1) of relation 5 of database 6; blocked by process {2}.",
            "Prozess {1} wartet auf ShareLock-Sperre auf Transaktion 7; blockiert von Prozess {2}.",
            "El proceso {1} espera ShareLock en transacción 7; bloqueado por proceso {2}.",
            "Le processus {1} attend ShareLock sur transaction 7 ; bloqué par le processus {2}.",
            "プロセス {1} は ShareLock を トランザクション 7 で待機していましたが、プロセス {2} でブロックされました",
            "{1} 프로세스가 ShareLock 상태로 지연되고 있음(해당 작업: 트랜잭션 7); {2} 프로세스에 의해 블록킹되었음",
            "Процесс {1} ожидает в режиме ShareLock блокировку \"транзакция 7\"; заблокирован процессом {2}.",
            "进程{1}等待在事务 7上的ShareLock; 由进程{2}阻塞.",
        ] {
            let line = |one: &str, other: &str| wait.replace("{1}", one).replace("{2}", other);
            let two = [line("101", "202"), line("202", "101")].join("\n");
            assert!(is_deadlock(Some(&two)), "{two}");
            let three = [line("101", "202"), line("202", "303"), line("303", "101")].join("\n");
            assert!(is_deadlock(Some(&three)), "{three}");
            assert!(!is_deadlock(Some(&line("101", "202"))));
            assert!(!is_deadlock(Some(&[line("101", "202"), line("303", "101")].join("\n"))));
        }
    }

    #[test]
    fn other_details_are_not_one() {
        for details in
            ["Key (id)=(1) already exists.", "Failing row contains (1, 2).\n(2, 1)", "", "1\n1", "1 2 1\n2 2 2"]
        {
            assert!(!is_deadlock(Some(details)), "{details}");
        }
        assert!(!is_deadlock(None));
    }
}
