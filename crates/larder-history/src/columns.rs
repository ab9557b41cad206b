//! The columns of `sample`, once: as SQL, as a row in memory, and between the two.

use rusqlite::types::Value;

/// Makes [`Row`] and the lists of its numbers.
macro_rules! columns {
    ($($name:ident),* $(,)?) => {
        /// A row of `sample` without its key; units as in the schema.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Row {
            $(pub(crate) $name: Option<i64>,)*
            pub(crate) points: Option<Vec<u8>>,
            pub(crate) error: Option<String>,
        }

        /// The columns in the order in which they are read and bound, after `cache` and `at`.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name),)* "points", "error"];

        impl Row {
            /// Reads one whose first column is at `first`.
            pub(crate) fn read(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Self> {
                let mut at = first;
                let mut next = || { at += 1; at - 1 };
                Ok(Self {
                    $($name: row.get(next())?,)*
                    points: row.get(next())?,
                    error: row.get(next())?,
                })
            }

            /// In the order of [`NAMES`].
            pub(crate) fn values(&self) -> Vec<Value> {
                let mut values: Vec<Value> = Vec::with_capacity(NAMES.len());
                $(values.push(self.$name.into());)*
                values.push(self.points.clone().into());
                values.push(self.error.clone().into());
                values
            }
        }
    };
}

columns!(
    allocated,
    fallen,
    resident,
    resident_fallen,
    n,
    failed,
    allocated_low,
    allocated_high,
    logical,
    files,
    reclaimable,
    budget,
    disk_free,
    disk_size,
    last_used,
    oldest_use,
    took,
    score,
    score_low,
    keys,
    persistent_keys,
    used_memory,
    max_memory,
    hits,
    hits_base,
    misses,
    misses_base,
    evicted,
    evicted_base,
    hit_rate,
    connections,
    max_connections,
    fragmentation,
    latency,
    latency_high,
    disk,
);

impl Row {
    /// How many samples it stands for.
    pub(crate) fn count(&self) -> i64 {
        self.n.unwrap_or(1)
    }
}

/// `INSERT OR REPLACE` of a row with its key.
pub(crate) fn insert() -> String {
    let marks = vec!["?"; NAMES.len() + 2].join(",");
    format!("INSERT OR REPLACE INTO sample (cache, at, {}) VALUES ({marks})", NAMES.join(", "))
}

/// `SELECT cache, at, … FROM sample`, to be gone on with.
pub(crate) fn select() -> String {
    format!("SELECT cache, at, {} FROM sample ", NAMES.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_table() {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap();
        let mut statement =
            connection.prepare("SELECT name FROM pragma_table_info('sample')").unwrap();
        let there: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(there[..2], ["cache", "at"]);
        // A column that came later stands last in the table, wherever it is read.
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        let there: Vec<&str> = there[2..].iter().map(String::as_str).collect();
        assert_eq!(sorted(&there), sorted(NAMES));
    }
}
