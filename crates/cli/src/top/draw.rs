//! The board, drawn.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Sparkline, Table};

use super::metrics::Activity;
use super::sample::{Board, Followed, Hot};
use crate::output::text::{bytes, count, cut, grouped, one_line};
use crate::output::time::Zone;

/// How it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It goes on.
    Running,
    /// It is held.
    Held,
    /// It is printed once.
    Once,
}

/// Draws all of it.
pub(super) fn board(frame: &mut Frame<'_>, board: &Board, zone: Zone, mode: Mode) {
    let readers = u16::try_from(board.readers.len())
        .unwrap_or(u16::MAX)
        .saturating_add(3)
        .clamp(4, 14);
    let trail = if mode == Mode::Once { 0 } else { 5 };
    let parts = Layout::vertical([
        Constraint::Length(4 + u16::from(board.activity.is_some())),
        Constraint::Length(trail),
        Constraint::Min(5),
        Constraint::Length(readers),
        Constraint::Length(u16::from(mode != Mode::Once)),
    ]);
    let [head, rate, hot, followed, keys] = parts.areas(frame.area());
    heading(frame, board, zone, head);
    if mode != Mode::Once {
        sparkline(frame, board, rate);
    }
    let [streams, types] =
        Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(hot);
    hottest(frame, "hottest streams", &board.streams, streams);
    hottest(frame, "hottest types", &board.types, types);
    readers_table(frame, board, followed);
    footer(frame, mode, keys);
}

fn heading(frame: &mut Frame<'_>, board: &Board, zone: Zone, area: Rect) {
    let newest = board
        .newest_at
        .map_or_else(|| "-".to_owned(), |time| zone.show(time));
    let lost = match board.lost {
        0 => String::new(),
        lost => format!("   lost {}", count(lost, "position")),
    };
    let (ten, minute) = board.rates;
    let files = &board.files;
    let mut lines = vec![
        Line::from(vec![
            "annals top  ".bold(),
            Span::from(one_line(&board.name())).fg(Color::Cyan),
            format!("  {}", zone.show(board.at)).dim(),
        ]),
        Line::from(vec![
            format!(
                "head {}   newest event {newest}",
                grouped(board.head.value())
            )
            .into(),
            lost.fg(Color::Yellow),
        ]),
        Line::from(vec![
            "events/s ".into(),
            format!("{ten:.1}").bold(),
            format!(" over 10 s, {minute:.1} over 60 s").into(),
        ]),
        Line::from(format!(
            "segments {} in {} files   index {} in {} files   all {}",
            bytes(files.segments.bytes),
            files.segments.count,
            bytes(files.index.bytes),
            files.index.count,
            bytes(files.all.bytes)
        )),
    ];
    lines.extend(board.activity.as_ref().map(activity));
    frame.render_widget(Paragraph::new(lines), area);
}

/// What the application tells of itself.
fn activity(activity: &Activity) -> Line<'static> {
    let sync = activity
        .sync_ms
        .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.2} ms"));
    let rate = |rate: Option<f64>| rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    let mut line = Line::from(vec![
        "sync ".into(),
        sync.bold(),
        format!(
            " on average, {}/s   appended {}/s   read {}/s   waiting {:.0}",
            rate(activity.syncs_per_second),
            rate(activity.events_appended_per_second),
            rate(activity.events_read_per_second),
            activity.queued_appends,
        )
        .into(),
    ]);
    if activity.unsynced_bytes > 0.0 {
        line.push_span(
            format!("   not synced {:.0} bytes", activity.unsynced_bytes).fg(Color::Red),
        );
    }
    line
}

fn sparkline(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let room = usize::from(area.width.saturating_sub(2));
    let older = board.trail.len().saturating_sub(room);
    let shown: Vec<u64> = board.trail.iter().skip(older).copied().collect();
    let most = shown.iter().max().copied().unwrap_or_default();
    let block = Block::bordered().title(format!(" events/s, at most {} ", grouped(most)));
    let line = Sparkline::default()
        .block(block)
        .data(&shown)
        .style(Style::new().fg(Color::Green));
    frame.render_widget(line, area);
}

fn hottest(frame: &mut Frame<'_>, title: &'static str, hot: &[Hot], area: Rect) {
    let width = usize::from(area.width.saturating_sub(26));
    let rows = hot.iter().map(|hot| {
        let name = cut(&one_line(&hot.name), width.max(12));
        Row::new([
            Cell::from(name).fg(Color::Cyan),
            Cell::from(Line::from(grouped(hot.events)).right_aligned()),
            Cell::from(Line::from(bytes(hot.bytes)).right_aligned()),
        ])
    });
    let widths = [
        Constraint::Min(12),
        Constraint::Length(8),
        Constraint::Length(11),
    ];
    let header = Row::new([
        Cell::from("name"),
        Cell::from(Line::from("events").right_aligned()),
        Cell::from(Line::from("payloads").right_aligned()),
    ]);
    let table = Table::new(rows, widths)
        .header(header.dim())
        .block(Block::bordered().title(format!(" {title} ")));
    frame.render_widget(table, area);
}

fn readers_table(frame: &mut Frame<'_>, board: &Board, area: Rect) {
    let block = Block::bordered().title(" readers ");
    if board.readers.is_empty() {
        let none = Paragraph::new("no reader keeps a checkpoint in this store").block(block);
        frame.render_widget(none, area);
        return;
    }
    let widths = [
        Constraint::Min(16),
        Constraint::Length(14),
        Constraint::Length(12),
        Constraint::Length(14),
        Constraint::Length(8),
    ];
    let header = Row::new(["name", "position", "lag", "trend", "parked"]).dim();
    let table = Table::new(board.readers.iter().map(reader_row), widths)
        .header(header)
        .block(block);
    frame.render_widget(table, area);
}

fn reader_row(followed: &Followed) -> Row<'static> {
    let reader = &followed.reader;
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), grouped);
    let (trend, color) = match followed.lag_change {
        0 => ("steady".to_owned(), Color::Reset),
        change if change > 0 => (format!("+{change}"), Color::Red),
        change => (change.to_string(), Color::Green),
    };
    let parked = Cell::from(reader.parked.to_string());
    let parked = if reader.parked > 0 {
        parked.fg(Color::Red)
    } else {
        parked
    };
    Row::new([
        Cell::from(one_line(&reader.name)).fg(Color::Cyan),
        Cell::from(number(reader.position)),
        Cell::from(number(reader.lag)),
        Cell::from(trend).fg(color),
        parked,
    ])
}

fn footer(frame: &mut Frame<'_>, mode: Mode, area: Rect) {
    let text = match mode {
        Mode::Once => return,
        Mode::Running => "q ends, p holds, + and - change how often it looks",
        Mode::Held => "held: p goes on, q ends",
    };
    frame.render_widget(Paragraph::new(text.dim()), area);
}
