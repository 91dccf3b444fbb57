//! Ways to break capture that the replay test must notice. Each is a change of the kernel's SQL text.

/// One deliberate fault.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// What is wrong with capture.
    pub name: &'static str,
    /// The text of the install script that is replaced; it must be there.
    pub original: &'static str,
    /// What stands there instead.
    pub replacement: &'static str,
}

impl Mutation {
    /// The install script with the fault in it; `None` when the text to replace is not there any more.
    #[must_use]
    pub fn apply(&self, install: &str) -> Option<String> {
        install.contains(self.original).then(|| install.replace(self.original, self.replacement))
    }
}

/// All of them.
pub const MUTATIONS: [Mutation; 7] = [
    Mutation {
        name: "many rows are paired as if they were one",
        original: "IF capture.count OPERATOR(pg_catalog.=) 1 THEN",
        replacement: "IF capture.count OPERATOR(pg_catalog.>=) 1 THEN",
    },
    Mutation {
        name: "values are compared by their type's equality",
        original: "ELSE format('ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record', before, after) END",
        replacement: "ELSE format('pg_catalog.to_jsonb(%s) OPERATOR(pg_catalog.<>) pg_catalog.to_jsonb(%s)', before, after) END",
    },
    Mutation {
        name: "a changed key does not say what it was",
        original: "ELSE format('CASE WHEN %s THEN pg_catalog.jsonb_build_object(%s) END', key_differs, key_old) END;",
        replacement: "ELSE 'NULL::pg_catalog.jsonb' END;",
    },
    Mutation {
        name: "a host's triggers are recorded before their cause",
        original: "SELECT CASE WHEN NOT coalesce(bool_or((own AND is_after) OR NOT own), false) THEN 'no'",
        replacement: "SELECT CASE WHEN true THEN 'no'",
    },
    Mutation {
        name: "JSON null and SQL NULL look alike",
        original: "IF base.oid IN ('json'::regtype, 'jsonb'::regtype) THEN",
        replacement: "IF base.oid = 'json'::regtype THEN",
    },
    Mutation {
        name: "TRUNCATE is not seen",
        original: "IF complete ->> 'truncate' = 'event' THEN",
        replacement: "IF complete ->> 'truncate' = 'never' THEN",
    },
    Mutation {
        name: "inserts of several rows keep the first only",
        original: "CASE WHEN op = 'delete' THEN from_old ELSE from_new END",
        replacement: "CASE WHEN op = 'delete' THEN from_old ELSE from_new || CASE source WHEN 'transition' THEN ' LIMIT 1' ELSE '' END END",
    },
];
