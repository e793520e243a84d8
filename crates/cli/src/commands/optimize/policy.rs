//! What shall be made smaller, as options and a file say it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals_core::{Category, StreamId, Version};
use annals_optimize::{
    ArchiveRule, CompressionRule, OptimizePolicy, Optimizer, Plan, RetentionRule,
};
use clap::{ArgGroup, Args};

use crate::ago;
use crate::archives;
use crate::failure::{Failure, Result};

const HEADING: &str = "What to make smaller";

/// What to make smaller.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("rule").multiple(true).args(["max_age", "keep", "truncate_before"])))]
pub(crate) struct PolicyArgs {
    /// A policy in TOML or JSON.
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    policy: Option<PathBuf>,
    /// Compress only segments of which every event is older than this: 12h, 30d, 4w.
    #[arg(long, value_name = "AGE", value_parser = ago::age, help_heading = HEADING)]
    compress_older_than: Option<Duration>,
    /// How much time is given for how few bytes, from 1 to 19 [default: 9].
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19), help_heading = HEADING)]
    level: Option<i32>,
    /// Leave segments as they are.
    #[arg(long, conflicts_with_all = ["compress_older_than", "level"], help_heading = HEADING)]
    no_compression: bool,
    /// Hide events of this category's streams, as --max-age, --keep and --truncate-before say; may be given several times.
    /// What they leave out stays as the file's rule for the category has it, or else as each stream has it.
    #[arg(long = "category", value_name = "CATEGORY", requires = "rule", help_heading = HEADING)]
    categories: Vec<Category>,
    /// Hide events that were appended longer ago: 12h, 30d, 4w.
    #[arg(long, value_name = "AGE", value_parser = ago::age, requires = "categories", help_heading = HEADING)]
    max_age: Option<Duration>,
    /// Hide by age though the clock stands before the newest event, or so far past it that all events are too old.
    #[arg(long, help_heading = HEADING)]
    trust_clock: bool,
    /// Hide all but the newest so many events of each stream.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), requires = "categories", help_heading = HEADING)]
    keep: Option<u64>,
    /// Hide events of versions below this in each stream.
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..), requires = "categories", help_heading = HEADING)]
    truncate_before: Option<u64>,
    /// Reclaim what nobody is shown any more: write segments anew without the payloads of such events, which are gone for
    /// good then. Only streams that a --hold or the file names are spared.
    #[arg(long, help_heading = HEADING)]
    reclaim: bool,
    /// Move segments to this directory or URL of an object store, in which they are read from then on; what is compressed is
    /// so before. URLs are s3://, gs://, az://, https:// and file://; all but the last take a program that was built with the
    /// feature `object-stores`.
    #[arg(long, value_name = "PLACE", help_heading = HEADING)]
    archive: Option<String>,
    /// Move only segments of which every event is older than this: 12h, 30d, 4w.
    #[arg(long, value_name = "AGE", value_parser = ago::age, help_heading = HEADING)]
    archive_older_than: Option<Duration>,
    /// Hide and reclaim nothing of this stream or category, whatever the rules say, and lift the rules that it has; may
    /// be given several times.
    #[arg(long = "hold", value_name = "STREAM_OR_CATEGORY", help_heading = HEADING)]
    holds: Vec<String>,
}

/// A policy, as far as a program without the application's folds can follow it.
#[derive(Debug)]
pub(super) struct Policy {
    policy: OptimizePolicy,
    has_snapshot_rules: bool,
}

impl PolicyArgs {
    /// What the file says and the options add.
    pub(super) fn policy(&self) -> Result<Policy> {
        let mut policy = match &self.policy {
            Some(path) => read(path)?,
            None => OptimizePolicy::default(),
        };
        self.compression(&mut policy);
        policy.trusts_clock |= self.trust_clock;
        if self.reclaim {
            let rule = policy.reclaim.get_or_insert_default();
            rule.level = self.level.unwrap_or(rule.level);
        }
        self.archive(&mut policy)?;
        self.retention(&mut policy);
        for hold in &self.holds {
            if let Ok(stream) = StreamId::parse(hold)
                && hold.contains('-')
            {
                policy.legal_hold.streams.insert(stream);
            } else {
                policy.legal_hold.categories.insert(Category::parse(hold)?);
            }
        }
        let has_snapshot_rules = !policy.snapshots.is_empty();
        policy.snapshots.clear();
        Ok(Policy {
            policy,
            has_snapshot_rules,
        })
    }

    /// The options set their parts of the file's rule for a category; what they leave out stays.
    fn retention(&self, policy: &mut OptimizePolicy) {
        for category in &self.categories {
            let written = policy.retention.iter_mut();
            // The last rule for a category is the one that holds.
            let mut rule = RetentionRule::new(category.clone());
            let last = written.rev().find(|it| it.category == *category);
            let is_new = last.is_none();
            let target = last.unwrap_or(&mut rule);
            target.max_age = self.max_age.or(target.max_age);
            target.max_count = self.keep.or(target.max_count);
            let before = self.truncate_before.map(Version::new);
            target.truncate_before = before.or(target.truncate_before);
            if is_new {
                policy.retention.push(rule);
            }
        }
    }

    fn archive(&self, policy: &mut OptimizePolicy) -> Result {
        if let Some(to) = &self.archive {
            match &mut policy.archive {
                Some(rule) => rule.to.clone_from(to),
                none => *none = Some(ArchiveRule::new(to)),
            }
        }
        let Some(rule) = &mut policy.archive else {
            return match self.archive_older_than {
                Some(_) => Err(Failure::usage(
                    "--archive-older-than says what to move, and nothing says where to",
                )
                .hint("add --archive <PLACE>")),
                None => Ok(()),
            };
        };
        rule.older_than = self.archive_older_than.or(rule.older_than);
        rule.to = archives::place(&rule.to)?;
        Ok(())
    }

    fn compression(&self, policy: &mut OptimizePolicy) {
        if self.no_compression {
            policy.compression = None;
        }
        if self.compress_older_than.is_none() && self.level.is_none() {
            return;
        }
        let rule = policy
            .compression
            .get_or_insert_with(CompressionRule::default);
        rule.older_than = self.compress_older_than.or(rule.older_than);
        rule.level = self.level.unwrap_or(rule.level);
    }
}

impl Policy {
    /// What would be done by it.
    pub(super) fn plan(&self, optimizer: &Optimizer) -> Result<Plan> {
        let mut plan = optimizer.plan(&self.policy)?;
        if self.has_snapshot_rules {
            let note = "the rules for snapshots are left to the application, which knows its folds";
            plan.notes.push(note.to_owned());
        }
        Ok(plan)
    }
}

/// The policy of a file, which tells its form by its first sign.
fn read(path: &Path) -> Result<OptimizePolicy> {
    let text = fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let parsed = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        toml::from_str(&text).map_err(|error| error.to_string())
    };
    parsed.map_err(|why| {
        let why = why.trim_end();
        Failure::usage(format!("{} is no policy: {why}", path.display()))
            .hint("the chapter \"Making it smaller\" of the book shows one")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    fn policy(line: &[&str]) -> OptimizePolicy {
        let line = std::iter::once(&"annals").chain(line);
        Line::parse_from(line).policy.policy().unwrap().policy
    }

    #[test]
    fn options_make_a_policy() {
        assert_eq!(policy(&[]), OptimizePolicy::default());
        assert_eq!(policy(&["--no-compression"]).compression, None);
        let reclaim = policy(&["--reclaim", "--level", "3"]).reclaim;
        assert_eq!(reclaim.map(|rule| rule.level), Some(3));
        let days = |days: u64| Duration::from_hours(24 * days);
        let old = policy(&["--compress-older-than", "7d", "--level", "3"]);
        let rule = old.compression.unwrap();
        assert_eq!((rule.older_than, rule.level), (Some(days(7)), 3));
        let line = [
            "--category",
            "session",
            "--category",
            "cart",
            "--max-age",
            "30d",
            "--keep",
            "5",
        ];
        let kept = policy(&[line.as_slice(), &["--hold", "cart-7", "--hold", "invoice"]].concat());
        let rule = |name| {
            RetentionRule::new(Category::from_static(name))
                .max_age(days(30))
                .max_count(5)
        };
        assert_eq!(kept.retention, [rule("session"), rule("cart")]);
        assert!(kept.legal_hold.holds(&StreamId::from_static("cart-7")));
        assert!(kept.legal_hold.holds(&StreamId::from_static("invoice-1")));
        assert!(!kept.legal_hold.holds(&StreamId::from_static("cart-8")));
    }

    #[test]
    fn an_archive_is_an_absolute_path_or_a_url() {
        let rule = policy(&["--archive", "/cold", "--archive-older-than", "30d"]);
        let month = Duration::from_hours(30 * 24);
        assert_eq!(
            rule.archive,
            Some(ArchiveRule::new("/cold").older_than(month))
        );
        let rule = policy(&["--archive", "file:///cold"]);
        assert_eq!(rule.archive, Some(ArchiveRule::new("file:///cold")));
        let rule = policy(&["--archive", "cold"]).archive.unwrap();
        assert!(Path::new(&rule.to).is_absolute() && rule.to.ends_with("cold"));
        let line = Line::parse_from(["annals", "--archive-older-than", "30d"]);
        assert!(
            line.policy
                .policy()
                .unwrap_err()
                .message
                .contains("where to")
        );

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        fs::write(&file, "[archive]\nto = \"/cold\"\nnewest_kept_local = 2\n").unwrap();
        let line = ["--policy", file.to_str().unwrap(), "--archive", "/colder"];
        let expected = ArchiveRule::new("/colder").newest_kept_local(2);
        assert_eq!(policy(&line).archive, Some(expected));
    }

    #[test]
    fn options_set_their_parts_of_the_rule_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        let rule =
            |name: &str, rest: &str| format!("[[retention]]\ncategory = \"{name}\"\n{rest}\n");
        let text = [
            rule("session", "max_count = 1"),
            rule("cart", "max_age = \"1d\""),
            rule("session", "max_age = \"90d\"\ntruncate_before = 3"),
        ];
        fs::write(&file, text.concat()).unwrap();
        let line = [
            "--policy",
            file.to_str().unwrap(),
            "--category",
            "session",
            "--keep",
            "5",
        ];
        let policy = policy(&line);
        let session = RetentionRule::new(Category::from_static("session"));
        let days = |days: u64| Duration::from_hours(24 * days);
        let cart = RetentionRule::new(Category::from_static("cart")).max_age(days(1));
        let set = session.clone().max_age(days(90)).max_count(5);
        let expected = [
            session.max_count(1),
            cart,
            set.truncate_before(Version::new(3)),
        ];
        assert_eq!(policy.retention, expected);
    }

    #[test]
    fn a_rule_names_its_category_and_a_category_its_rule() {
        for line in [
            ["annals", "--max-age", "30d"],
            ["annals", "--category", "session"],
        ] {
            assert!(Line::try_parse_from(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_policy_file_is_toml_or_json() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy");
        let toml = "[compression]\nolder_than = \"7d\"\n\n[reclaim]\n\n[[retention]]\ncategory = \"session\"\nmax_age = \"30d\"\n";
        let json = r#" {"compression": {"older_than": "7d"}, "reclaim": {}, "retention": [{"category": "session", "max_age": "30d"}]}"#;
        let policies = [toml, json].map(|text| {
            fs::write(&file, text).unwrap();
            policy(&["--policy", file.to_str().unwrap(), "--level", "12"])
        });
        assert_eq!(policies[0], policies[1]);
        let compression = policies[0].compression.unwrap();
        assert_eq!(compression.level, 12);
        assert_eq!(compression.older_than, Some(Duration::from_hours(7 * 24)));
        fs::write(&file, "[compresion]\nlevel = 3\n").unwrap();
        let refused = read(&file).unwrap_err();
        assert!(refused.message.contains("compresion"), "{refused}");
    }
}
