//! The sink as a whole, on files.

use std::collections::BTreeMap;

use annals_core::{CheckpointName, Cursor, Error, ErrorKind, Position};
use annals_projection::conformance::{SinkBackend, check};
use annals_projection::{ModelId, Partition, Sink, Step};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    Change, ColumnType, SqlValue, SqliteDurability, SqliteModel, SqliteSettings, SqliteSink,
    SqliteView, Table, drop_model, models,
};

const SUMS: &str =
    "CREATE TABLE {sums} (key TEXT PRIMARY KEY, sum INTEGER NOT NULL) STRICT, WITHOUT ROWID";
const ADD: &str = "INSERT INTO {sums} VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sum = sum + ?2";

fn id(version: u32) -> ModelId {
    ModelId {
        name: CheckpointName::parse("sums").unwrap(),
        version,
        partition: Partition::WHOLE,
    }
}

fn sink_in(directory: &TempDir) -> SqliteSink {
    let sink = SqliteSink::builder(directory.path().join("models.sqlite"));
    let settings = SqliteSettings::DEFAULT.with_durability(SqliteDurability::Process);
    sink.schema(SUMS).settings(settings).build().unwrap()
}

fn opened(directory: &TempDir) -> SqliteSink {
    let mut sink = sink_in(directory);
    sink.open(&id(1)).unwrap();
    sink
}

fn cursor(number: u64) -> Cursor {
    Cursor::at(Position::new(number))
}

fn commit(sink: &mut SqliteSink, number: u64) -> Result<(), Error> {
    sink.commit(&Step {
        cursor: &cursor(number),
        parked: None,
    })
}

fn view(directory: &TempDir, version: u32) -> SqliteView {
    SqliteView::open(directory.path().join("models.sqlite"), &id(version)).unwrap()
}

fn sums_of(view: &SqliteView) -> BTreeMap<String, i64> {
    let rows = view.query("SELECT key, sum FROM {sums}", (), |row| {
        Ok((row.get(0)?, row.get(1)?))
    });
    rows.unwrap().into_iter().collect()
}

struct OnFile;

impl SinkBackend for OnFile {
    type Sink = SqliteSink;
    type Storage = TempDir;

    fn storage(&self) -> TempDir {
        TempDir::new().unwrap()
    }

    fn sink(&self, directory: &mut TempDir) -> SqliteSink {
        sink_in(directory)
    }

    fn add(&self, model: &mut SqliteModel, key: &str, amount: i64) -> Result<(), Error> {
        model.execute(ADD, (key, amount)).map(drop)
    }

    fn sums(&self, directory: &TempDir, model: &ModelId) -> Result<BTreeMap<String, i64>, Error> {
        match SqliteView::open(directory.path().join("models.sqlite"), model) {
            Ok(view) => Ok(sums_of(&view)),
            Err(error) if error.kind() == ErrorKind::Unavailable => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    fn survives(&self) -> bool {
        true
    }
}

#[test]
fn the_contract_is_kept() {
    assert_eq!(check(&OnFile), Vec::<String>::new());
}

/// Feeds numbers as a processor does: from the progress on, one step a batch, opened again after an error.
fn feed(sink: &mut SqliteSink, numbers: &[i64], batch: usize, mut fault: Option<i64>) -> u32 {
    let mut failures = 0;
    loop {
        let fed = (|| -> Result<(), Error> {
            let at = sink.open(&id(1))?.cursor.position().unwrap();
            if let Some(statements) = fault.take() {
                sink.model().faults.after(statements);
            }
            let mut done = usize::try_from(at.value()).unwrap();
            for batch in numbers[done..].chunks(batch) {
                sink.begin()?;
                for number in batch {
                    sink.model()
                        .execute(ADD, (format!("{}", number % 3), *number))?;
                }
                done += batch.len();
                commit(sink, done as u64)?;
            }
            Ok(())
        })();
        match fed {
            Ok(()) => return failures,
            Err(_) => failures += 1,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// Fed twice by a crash is fed once: the file fails at each statement of a history in turn, a commit that happened
    /// and was not told of among them.
    #[test]
    fn a_failure_at_any_statement_leaves_every_number_in_once(
        numbers in prop::collection::vec(-100_i64..100, 1..9),
        batch in 1_usize..5,
        dropped in any::<bool>(),
    ) {
        let mut expected = BTreeMap::new();
        for number in &numbers {
            *expected.entry((number % 3).to_string()).or_insert(0) += number;
        }
        for statements in 0.. {
            let directory = TempDir::new().unwrap();
            let mut sink = opened(&directory);
            let failures = feed(&mut sink, &numbers, batch, Some(statements));
            prop_assert!(failures <= 1);
            if dropped {
                sink = opened(&directory);
            }
            prop_assert_eq!(feed(&mut sink, &numbers, batch, None), 0);
            prop_assert_eq!(&sums_of(&view(&directory, 1)), &expected, "failure at {}", statements);
            if failures == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_handler_is_kept_to_its_own_rows() {
    let directory = TempDir::new().unwrap();
    let mut other = SqliteSink::builder(directory.path().join("models.sqlite"));
    other = other.schema("CREATE TABLE {others} (key TEXT PRIMARY KEY) STRICT");
    other.build().unwrap().open(&id(2)).unwrap();
    let mut sink = opened(&directory);
    sink.begin().unwrap();
    for sql in [
        "COMMIT",
        "ROLLBACK",
        "BEGIN",
        "SAVEPOINT here",
        "PRAGMA synchronous = OFF",
        "ATTACH ':memory:' AS elsewhere",
        "CREATE TABLE {more} (x)",
        "CREATE TEMP TABLE more (x)",
        "DROP TABLE {sums}",
        "UPDATE annals_progress SET cursor = '99'",
        "DELETE FROM annals_parked",
        "INSERT INTO others_v2 VALUES ('x')",
        "DELETE FROM sqlite_schema",
    ] {
        let error = sink.model().execute(sql, ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{sql}: {error}");
    }
    let read = sink
        .model()
        .query_row("SELECT count(*) FROM others_v2", (), |row| row.get(0));
    assert_eq!(read.unwrap(), Some(0));
    sink.model().execute(ADD, ("a", 1)).unwrap();
    commit(&mut sink, 1).unwrap();
    assert_eq!(sums_of(&view(&directory, 1)).len(), 1);
}

#[test]
fn a_statement_that_rolls_back_ends_the_step_and_not_more() {
    let directory = TempDir::new().unwrap();
    let mut sink = opened(&directory);
    sink.begin().unwrap();
    sink.model().execute(ADD, ("a", 1)).unwrap();
    let sql = "INSERT OR ROLLBACK INTO {sums} VALUES ('a', 2)";
    sink.model().execute(sql, ()).unwrap_err();
    // A handler that goes on all the same writes nothing outside of the step.
    let error = sink.model().execute(ADD, ("b", 1)).unwrap_err();
    assert!(
        error.to_string().contains("ON CONFLICT ROLLBACK"),
        "{error}"
    );
    commit(&mut sink, 1).unwrap_err();
    sink.roll_back().unwrap();
    assert!(sums_of(&view(&directory, 1)).is_empty());
    sink.begin().unwrap();
    sink.model().execute(ADD, ("a", 1)).unwrap();
    commit(&mut sink, 1).unwrap();
}

#[test]
fn a_failing_file_is_not_taken_for_a_failing_handler() {
    let directory = TempDir::new().unwrap();
    let mut sink = opened(&directory);
    let pages: i64 = sink
        .model()
        .connection()
        .unwrap()
        .query_row("PRAGMA max_page_count = 1", (), |row| row.get(0))
        .unwrap();
    assert!(pages > 1);
    sink.begin().unwrap();
    let long = "x".repeat(100_000);
    let error = sink.model().execute(ADD, (long, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(sink.roll_back().unwrap_err().kind(), ErrorKind::NoSpace);
    let progress = sink.open(&id(1)).unwrap();
    assert_eq!(progress.cursor, Cursor::START);
}

#[test]
fn another_writer_is_waited_for_and_then_told_of() {
    let directory = TempDir::new().unwrap();
    let settings = SqliteSettings::DEFAULT.with_busy_timeout(std::time::Duration::from_millis(1));
    let patient = SqliteSink::builder(directory.path().join("models.sqlite"));
    let mut patient = patient.schema(SUMS).settings(settings).build().unwrap();
    patient.open(&id(2)).unwrap();
    let mut sink = opened(&directory);
    sink.begin().unwrap();
    assert_eq!(patient.begin().unwrap_err().kind(), ErrorKind::Overloaded);
    commit(&mut sink, 1).unwrap();
    patient.begin().unwrap();
}

#[test]
fn readers_see_whole_steps_and_one_moment() {
    let directory = TempDir::new().unwrap();
    let mut sink = opened(&directory);
    let view = view(&directory, 1);
    view.at_once(|view| {
        assert!(sums_of(view).is_empty());
        sink.begin()?;
        sink.model().execute(ADD, ("a", 1))?;
        commit(&mut sink, 7)?;
        assert!(sums_of(view).is_empty());
        assert_eq!(view.progress()?.cursor, Cursor::START);
        Ok(())
    })
    .unwrap();
    assert_eq!(view.progress().unwrap().cursor, cursor(7));
    assert_eq!(sums_of(&view).len(), 1);
    let refused = view
        .query("DELETE FROM {sums}", (), |_| Ok(()))
        .unwrap_err();
    assert_ne!(refused.kind(), ErrorKind::Corrupt);
    assert_eq!(sums_of(&view).len(), 1);
}

#[test]
fn versions_stand_beside_each_other_and_are_dropped() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("models.sqlite");
    for (version, keys) in [(1, 100_i64), (2, 99)] {
        let mut sink = sink_in(&directory);
        sink.open(&id(version)).unwrap();
        sink.begin().unwrap();
        for key in 0..keys {
            sink.model()
                .execute(ADD, (format!("{key:03}"), key))
                .unwrap();
        }
        commit(&mut sink, 5).unwrap();
    }
    let (first, second) = (view(&directory, 1), view(&directory, 2));
    assert_eq!(first.row_counts().unwrap(), [("sums".to_owned(), 100)]);
    assert_eq!(second.row_counts().unwrap(), [("sums".to_owned(), 99)]);
    let sample = first.sample("sums", 10).unwrap();
    assert_eq!(sample.len(), 10);
    let missing: Vec<_> = sample
        .iter()
        .filter(|row| second.find("sums", row).unwrap().as_ref() != Some(*row))
        .collect();
    let last = ("key".to_owned(), SqlValue::from("099"));
    assert_eq!(
        missing,
        [&vec![last, ("sum".to_owned(), SqlValue::from(99))]]
    );
    assert_eq!(first.sample("sums", 1000).unwrap().len(), 100);
    assert_eq!(first.key_columns("sums").unwrap(), ["key"]);

    assert_eq!(
        models(&path).unwrap(),
        [(id(1), cursor(5)), (id(2), cursor(5))]
    );
    let mut sink = opened(&directory);
    assert!(drop_model(&path, &id(1)).unwrap());
    assert!(!drop_model(&path, &id(1)).unwrap());
    assert_eq!(sink.begin().unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(models(&path).unwrap(), [(id(2), cursor(5))]);
    let gone = SqliteView::open(&path, &id(1)).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Unavailable);
    assert_eq!(second.row_counts().unwrap(), [("sums".to_owned(), 99)]);
}

#[test]
fn another_schema_wants_another_version() {
    let directory = TempDir::new().unwrap();
    drop(opened(&directory));
    let changed = SqliteSink::builder(directory.path().join("models.sqlite"));
    let changed =
        changed.schema("CREATE TABLE {sums} (key TEXT PRIMARY KEY, sum INTEGER, more TEXT) STRICT");
    let mut changed = changed.build().unwrap();
    let error = changed.open(&id(1)).unwrap_err();
    assert!(error.to_string().contains("raise the version"), "{error}");
    assert!(changed.begin().is_err());
    changed.reset().unwrap();
    changed.open(&id(1)).unwrap();
    changed.begin().unwrap();
    let sql = "INSERT INTO {sums} VALUES ('a', 1, 'more')";
    changed.model().execute(sql, ()).unwrap();
    commit(&mut changed, 1).unwrap();
    assert_eq!(
        sink_in(&directory).open(&id(1)).unwrap_err().kind(),
        ErrorKind::Invalid
    );
}

#[test]
fn a_schema_makes_its_own_names_alone() {
    let directory = TempDir::new().unwrap();
    let open = |schema: &str, version| {
        let sink = SqliteSink::builder(directory.path().join("models.sqlite"));
        let mut sink = sink.schema(schema).build()?;
        sink.open(&id(version)).map(drop)
    };
    for (schema, expected) in [
        ("CREATE TABLE sums (x)", "in braces"),
        (
            "CREATE TABLE {sums} (x); CREATE INDEX by_x ON {sums} (x)",
            "without braces",
        ),
        (
            "CREATE TABLE {sums} (x); DELETE FROM annals_progress",
            "not allowed",
        ),
        (
            "CREATE TABLE {sums} (x); PRAGMA user_version = 9",
            "not allowed",
        ),
        ("CREATE TABLE {sums} (x); COMMIT", "not allowed"),
        ("CREATE TABLE {annals_x} (x)", "taken"),
        ("CREATE TABLE {sums} (", "refuses"),
    ] {
        let error = open(schema, 1).unwrap_err();
        assert!(error.to_string().contains(expected), "{schema}: {error}");
    }
    open(
        "CREATE TABLE {sums} (x); CREATE VIRTUAL TABLE {words} USING fts5(text)",
        1,
    )
    .unwrap();
    let mut other = ModelId {
        name: CheckpointName::parse("other").unwrap(),
        ..id(1)
    };
    let sink = SqliteSink::builder(directory.path().join("models.sqlite"));
    let mut sink = sink
        .schema("CREATE TABLE IF NOT EXISTS {sums} (x)")
        .build()
        .unwrap();
    let error = sink.open(&other).unwrap_err();
    assert!(error.to_string().contains("another model"), "{error}");
    other.version = 2;
    sink.open(&other).unwrap();
}

#[test]
fn a_virtual_table_is_written_and_dropped() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("models.sqlite");
    let sink = SqliteSink::builder(&path).schema("CREATE VIRTUAL TABLE {words} USING fts5(text)");
    let mut sink = sink.build().unwrap();
    sink.open(&id(1)).unwrap();
    sink.begin().unwrap();
    let sql = "INSERT INTO {words} VALUES (?1)";
    sink.model().execute(sql, ["the quick brown fox"]).unwrap();
    commit(&mut sink, 1).unwrap();
    let found = view(&directory, 1).query_row(
        "SELECT count(*) FROM {words} WHERE {words} MATCH 'quick'",
        (),
        |row| row.get::<_, i64>(0),
    );
    assert_eq!(found.unwrap(), Some(1));
    sink.reset().unwrap();
    drop_model(&path, &id(1)).unwrap();
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("models.sqlite");
    let refused = |expected: &str| {
        let before = std::fs::read(&path).unwrap();
        let error = sink_in(&directory).open(&id(1)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let error = SqliteView::open(&path, &id(1)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    };
    std::fs::write(
        &path,
        "no database, but a text that is long enough to be looked at ".repeat(40),
    )
    .unwrap();
    refused("no SQLite database");
    std::fs::remove_file(&path).unwrap();
    let foreign = rusqlite::Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(foreign);
    refused("something else than annals");
    std::fs::remove_file(&path).unwrap();
    drop(opened(&directory));
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer
        .execute_batch("PRAGMA user_version = 2; PRAGMA journal_mode = DELETE")
        .unwrap();
    drop(newer);
    refused("another format");
    assert!(models(&path).is_err() && drop_model(&path, &id(1)).is_err());
}

#[test]
fn what_is_not_there_is_said() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("models.sqlite");
    let kind = |error: Error| error.kind();
    assert_eq!(
        SqliteView::open(&path, &id(1)).map_err(kind).err(),
        Some(ErrorKind::Unavailable)
    );
    assert_eq!(
        drop_model(&path, &id(1)).map_err(kind),
        Err(ErrorKind::Unavailable)
    );
    assert!(!path.exists());
    let mut nowhere = SqliteSink::builder(directory.path().join("no/such/folder.sqlite"));
    nowhere = nowhere.schema(SUMS);
    let error = nowhere.build().unwrap().open(&id(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("folder.sqlite"), "{error}");
    let mut sink = sink_in(&directory);
    assert!(sink.begin().is_err() && sink.model().execute(ADD, ("a", 1)).is_err());
    assert!(
        SqliteSink::builder(&path)
            .schema("SELECT 1")
            .build()
            .is_err()
    );
}

#[test]
fn a_handler_that_panics_leaves_the_sink_usable() {
    let directory = TempDir::new().unwrap();
    let mut sink = opened(&directory);
    sink.begin().unwrap();
    sink.model().execute(ADD, ("a", 1)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let model = sink.model();
        model.query_row("SELECT 1", (), |_| -> rusqlite::Result<()> {
            panic!("a bug")
        })
    }));
    assert!(panicked.is_err());
    sink.roll_back().unwrap();
    sink.begin().unwrap();
    commit(&mut sink, 1).unwrap();
    assert!(sums_of(&view(&directory, 1)).is_empty());
}

fn orders() -> Table {
    Table::new("orders")
        .key("shop", ColumnType::Text)
        .key("number", ColumnType::Integer)
        .column("customer", ColumnType::Text)
        .optional("note", ColumnType::Text)
        .number("cents")
        .indexed("customer")
        .build()
        .unwrap()
}

fn key(change: Change) -> Change {
    change
        .key("shop", "it's; DROP TABLE orders_v1 --")
        .key("number", 7_u64)
}

#[test]
fn declared_changes_are_made() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("models.sqlite");
    let orders = orders();
    let mut sink = SqliteSink::builder(&path).table(&orders).build().unwrap();
    sink.open(&id(1)).unwrap();
    let mut step = 0;
    let mut after = |change: Change| {
        step += 1;
        sink.begin().unwrap();
        orders.apply(sink.model(), change).unwrap();
        commit(&mut sink, step).unwrap();
        let rows = view(&directory, 1).sample("orders", 9).unwrap();
        let rows = rows.into_iter().map(|row| {
            let values: Vec<_> = row.into_iter().skip(2).map(|(_, value)| value).collect();
            values
        });
        rows.collect::<Vec<_>>()
    };
    let text = |text: &str| SqlValue::from(text);
    let placed = key(Change::upsert())
        .set("customer", "ada")
        .add("cents", 250);
    assert_eq!(
        after(placed.clone()),
        [[text("ada"), SqlValue::Null, 250.into()]]
    );
    assert_eq!(after(placed), [[text("ada"), SqlValue::Null, 500.into()]]);
    let update = key(Change::update()).set("note", "'; --").add("cents", -1);
    assert_eq!(after(update), [[text("ada"), text("'; --"), 499.into()]]);
    let kept = key(Change::upsert())
        .set("customer", "bob")
        .set("note", None::<&str>);
    assert_eq!(after(kept), [[text("bob"), SqlValue::Null, 499.into()]]);
    assert!(after(key(Change::delete())).is_empty());
    assert!(after(key(Change::delete())).is_empty());
}

#[test]
fn changes_that_do_not_fit_are_refused_with_a_reason() {
    let directory = TempDir::new().unwrap();
    let orders = orders();
    let sink = SqliteSink::builder(directory.path().join("models.sqlite"));
    let mut sink = sink.table(&orders).build().unwrap();
    sink.open(&id(1)).unwrap();
    sink.begin().unwrap();
    let full = key(Change::upsert())
        .set("customer", "ada")
        .set("cents", i64::MAX);
    orders.apply(sink.model(), full).unwrap();
    for (change, expected) in [
        (key(Change::upsert()).set("custmer", "x"), "no such column"),
        (key(Change::upsert()).set("shop", "x"), "columns of the key"),
        (
            key(Change::upsert()).set("note", "x").add("note", "y"),
            "given twice",
        ),
        (
            Change::upsert().key("shop", "x").set("customer", "x"),
            "each column of the key",
        ),
        (
            Change::delete().key("shop", "x").key("shop", "y"),
            "each column of the key",
        ),
        (key(Change::delete()).set("note", "x"), "a row that goes"),
        (key(Change::update()), "sets nothing"),
        (
            Change::update()
                .key("shop", "x")
                .key("number", 1)
                .set("note", "x"),
            "no row to update",
        ),
        (
            key(Change::upsert()).set("note", "without a customer"),
            "NOT NULL constraint failed",
        ),
        (
            key(Change::update()).set("cents", "much"),
            "cannot store TEXT value",
        ),
        (
            key(Change::update()).set("cents", u64::MAX),
            "over what SQLite holds",
        ),
        (
            key(Change::update()).add("cents", 1),
            "cannot store REAL value",
        ),
    ] {
        let error = orders.apply(sink.model(), change).unwrap_err();
        let words = format!(
            "{error}: {}",
            std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default()
        );
        assert!(words.contains(expected), "{expected}: {words}");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{words}");
    }
    commit(&mut sink, 1).unwrap();
}

#[test]
fn tables_that_make_no_sense_are_not_built() {
    let text = ColumnType::Text;
    for (table, expected) in [
        (Table::new("a b").key("id", text), "ASCII letters"),
        (
            Table::new("a\"; DROP TABLE b; --").key("id", text),
            "ASCII letters",
        ),
        (Table::new("t").key("i\"d", text), "ASCII letters"),
        (Table::new("t").column("id", text), "without a key"),
        (
            Table::new("t").key("id", text).column("ID", text),
            "of one name",
        ),
        (Table::new("t").key("id", text).indexed("x"), "there is not"),
        (Table::new("sqlite_t").key("id", text), "are taken"),
    ] {
        let error = table.build().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
