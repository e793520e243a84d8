//! Every link of a page to a place in the tree leads somewhere, down to the heading.

use crate::tidy::tree::{Source, Tree, has_extension};
use crate::tidy::{Finding, markdown};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in tree.with_extension("md") {
        for link in markdown::links(&page.text) {
            if let Err(problem) = resolve(tree, page, &link.target) {
                let message = format!("the link to `{}` {problem}; mend it", link.target);
                findings.push(Finding::new(&page.path, link.line, message));
            }
        }
    }
    findings
}

fn resolve(tree: &Tree, page: &Source, target: &str) -> Result<(), &'static str> {
    if is_elsewhere(target) {
        return Ok(());
    }
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (target, None),
    };
    let path = match file {
        "" => page.path.clone(),
        file => join(&page.path, file).ok_or("leaves the tree")?,
    };
    if !tree.contains(&path) {
        return Err("leads to nothing in the tree");
    }
    match (anchor, tree.source(&path)) {
        (Some(anchor), Some(other)) if has_extension(&path, "md") => {
            let anchors = markdown::anchors(&other.text);
            let found = anchors.iter().any(|heading| heading == anchor);
            found
                .then_some(())
                .ok_or("names a heading that is not there")
        }
        _ => Ok(()),
    }
}

/// Whether a target has a scheme, such as `https:` or `mailto:`.
fn is_elsewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| !scheme.contains(['/', '#', '.']))
}

/// The path of `target` as written on the page `from`; none where it climbs out of the tree.
pub(super) fn join(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    // The page itself is not a folder to start from.
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::check_rule;

    fn check_link(target: &str, expected: Option<&str>) {
        let page = format!("# Page\n\n[a link]({target})\n");
        let files = [
            ("docs/page.md", page.as_str()),
            ("docs/other.md", "# Other page\n"),
            ("docs/adr/0001-first.md", "# One\n"),
            ("README.md", "# Top\n"),
            ("crates/core/src/lib.rs", "//! A.\n"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|part| ("docs/page.md:3", *part))
            .collect();
        check_rule(check, &files, &expected);
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for target in [
            "other.md",
            "./other.md#other-page",
            "adr",
            "adr/",
            "../README.md",
            "../crates/core/src/lib.rs#L1",
            "/README.md",
            "..",
            "#page",
            "https://example.org/gone.md",
            "mailto:someone@example.org",
        ] {
            check_link(target, None);
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_caught() {
        check_link("gone.md", Some("nothing in the tree"));
        check_link("../docs/gone/", Some("nothing in the tree"));
        check_link("other.md#gone", Some("heading"));
        check_link("#gone", Some("heading"));
        check_link("../../elsewhere.md", Some("leaves the tree"));
    }
}
