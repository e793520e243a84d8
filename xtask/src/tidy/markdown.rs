//! What the rules read from a page: tables, links, code spans and headings.

use std::collections::BTreeMap;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A row of a table's body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: usize,
    pub(crate) cells: Vec<Cell>,
}

/// A cell of a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Its text, code spans included, without white space at the ends.
    pub(crate) text: String,
    /// Its code spans.
    pub(crate) codes: Vec<String>,
}

/// A link or an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// A fenced block of code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The line of the opening fence.
    pub(crate) line: usize,
    /// What follows the opening fence: the language, or what rustdoc is to do with it.
    pub(crate) info: String,
    /// The lines between the fences.
    pub(crate) text: String,
}

/// The body rows of every table of the page.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut in_row = false;
    for (event, range) in parser(text).into_offset_iter() {
        match event {
            Event::Start(Tag::TableRow) => {
                in_row = true;
                rows.push(Row {
                    line: line_at(text, range.start),
                    cells: Vec::new(),
                });
            }
            Event::End(TagEnd::TableRow) => in_row = false,
            Event::Start(Tag::TableCell) if in_row => {
                rows.last_mut()
                    .into_iter()
                    .for_each(|row| row.cells.push(Cell::default()));
            }
            Event::Text(words) if in_row => {
                last_cell(&mut rows, |cell| cell.text.push_str(&words));
            }
            Event::Code(code) if in_row => last_cell(&mut rows, |cell| {
                cell.text.push_str(&code);
                cell.codes.push(code.to_string());
            }),
            _ => {}
        }
    }
    rows
}

/// Every link and image of the page, those of reference style included.
pub(crate) fn links(text: &str) -> Vec<Link> {
    parser(text)
        .into_offset_iter()
        .filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
                line: line_at(text, range.start),
                target: dest_url.to_string(),
            }),
            _ => None,
        })
        .collect()
}

/// Every fenced block of code of the page.
pub(crate) fn fences(text: &str) -> Vec<Fence> {
    let mut fences: Vec<Fence> = Vec::new();
    let mut in_fence = false;
    for (event, range) in parser(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                in_fence = true;
                fences.push(Fence {
                    line: line_at(text, range.start),
                    info: info.to_string(),
                    text: String::new(),
                });
            }
            Event::End(TagEnd::CodeBlock) => in_fence = false,
            Event::Text(words) if in_fence => {
                fences
                    .last_mut()
                    .into_iter()
                    .for_each(|fence| fence.text.push_str(&words));
            }
            _ => {}
        }
    }
    fences
}

/// Every code span of the page; fenced blocks are none.
pub(crate) fn codes(text: &str) -> Vec<String> {
    let code = |event| match event {
        Event::Code(code) => Some(code.to_string()),
        _ => None,
    };
    parser(text).filter_map(code).collect()
}

/// The anchors that a heading gets where pages are shown: lower case, words joined by `-`, a number
/// after the second of the same name.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let count = counts.entry(anchor.clone()).or_default();
                anchors.push(match *count {
                    0 => anchor,
                    count => format!("{anchor}-{count}"),
                });
                *count += 1;
            }
            _ => {}
        }
    }
    anchors
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

fn last_cell(rows: &mut [Row], change: impl FnOnce(&mut Cell)) {
    if let Some(cell) = rows.last_mut().and_then(|row| row.cells.last_mut()) {
        change(cell);
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_carry_line_text_and_codes() {
        let text = "# Page\n\n| a | b |\n|---|---|\n| 0 | `core` and `log` |\n| 1 | |\n\nEnd\n";
        let cell = |text: &str, codes: &[&str]| Cell {
            text: text.into(),
            codes: codes.iter().map(ToString::to_string).collect(),
        };
        let expected = [
            Row {
                line: 5,
                cells: vec![cell("0", &[]), cell("core and log", &["core", "log"])],
            },
            Row {
                line: 6,
                cells: vec![cell("1", &[]), cell("", &[])],
            },
        ];
        assert_eq!(rows(text), expected);
    }

    #[test]
    fn links_in_code_are_no_links() {
        let text = "[a](b.md)\n`[c](d.md)`\n```\n[e](f.md)\n```\n![g][h]\n\n[h]: i.png\n";
        let links: Vec<_> = links(text)
            .into_iter()
            .map(|link| (link.line, link.target))
            .collect();
        assert_eq!(links, [(1, "b.md".to_owned()), (6, "i.png".to_owned())]);
    }

    #[test]
    fn fenced_blocks_carry_line_info_and_text() {
        let fence = |line, info: &str, text: &str| Fence {
            line,
            info: info.into(),
            text: text.into(),
        };
        assert_eq!(
            fences("# A\n\n```\nlet a;\n\n# b\n```\n`c`\n\n```text\nd\n```\n\n    e\n"),
            [fence(3, "", "let a;\n\n# b\n"), fence(10, "text", "d\n")]
        );
    }

    #[test]
    fn anchors_are_made_from_headings() {
        let text = "# One & `two`\n## Limits, in numbers\n## Again\n## Again\n";
        assert_eq!(
            anchors(text),
            ["one--two", "limits-in-numbers", "again", "again-1"]
        );
    }

    #[test]
    fn code_spans_are_listed() {
        assert_eq!(codes("`A`, **`B<T>`**\n```\n`C`\n```\n"), ["A", "B<T>"]);
    }
}
