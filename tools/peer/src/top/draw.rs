//! A frame of the view, as text: a function of the view and the screen's size alone.

use hpb_types::message::diagnose::SessionRow;

use super::{Mode, Top, Wish};
use crate::sessions::{Column, bytes};

/// Lines above the table's head.
const HEADER_LINES: usize = 3;
/// What the keys do, as far as there is room.
const KEYS: &str = "q quit  up/down  < > sort  r reverse  / filter  space freeze  k disconnect  b ban";
/// Columns' widths, in the order of the table.
const WIDTHS: [usize; Column::ALL.len()] = [11, 22, 12, 10, 9, 9, 9, 9, 7, 10, 10, 9, 9];

const BOLD: &str = "\x1b[1m";
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// Rows of the table that a screen of `height` lines shows.
pub fn page(height: usize) -> usize {
    height.saturating_sub(HEADER_LINES + 2).max(1)
}

/// A frame of at most `height` lines, none of them wider than `width`; with the escapes of a terminal if `is_terminal`.
pub fn draw(top: &Top, (width, height): (usize, usize), is_terminal: bool) -> String {
    let mut lines = header(top);
    lines.push(styled(&cut(&head(top), width), BOLD, is_terminal));
    let page = page(height);
    let first = top.chosen.saturating_sub(page.saturating_sub(1)).min(top.shown.len().saturating_sub(page));
    for (at, row) in top.shown.iter().enumerate().skip(first).take(page) {
        let line = cut(&table_line(row), width);
        let is_chosen = at == top.chosen && is_terminal;
        lines.push(if is_chosen { styled(&format!("{line:width$}"), INVERSE, true) } else { line });
    }
    for line in lines.iter_mut().take(HEADER_LINES) {
        *line = cut(line, width);
    }
    lines.push(cut(&foot(top), width));
    lines.truncate(height);
    lines.join("\n")
}

fn header(top: &Top) -> Vec<String> {
    let rows = &top.snapshot.rows;
    let open = rows.iter().filter(|row| row.has(SessionRow::OPEN)).count();
    let queued: u64 = rows.iter().map(|row| u64::from(row.queue_len)).sum();
    let frozen = if top.is_frozen { "  FROZEN" } else { "" };
    let rates = top.rates;
    vec![
        format!("sessions {}  open {open}  shown {}  waiting {}{frozen}", rows.len(), top.shown.len(), bytes(queued)),
        format!(
            "in {}/s {} segments/s  out {}/s {} segments/s  again {}/s",
            bytes(rates.rx_bytes),
            rates.rx_segments,
            bytes(rates.tx_bytes),
            rates.tx_segments,
            rates.again
        ),
        String::new(),
    ]
}

fn head(top: &Top) -> String {
    let name = |column: Column| {
        let is_down = column.is_amount() != top.reversed;
        match column == top.column {
            true if is_down => format!("{}v", column.name()),
            true => format!("{}^", column.name()),
            false => column.name().to_owned(),
        }
    };
    joined(&Column::ALL.map(name))
}

fn table_line(row: &SessionRow) -> String {
    joined(&Column::ALL.map(|column| column.cell(row)))
}

fn joined(cells: &[String; Column::ALL.len()]) -> String {
    let cells: Vec<String> = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:width$}")).collect();
    cells.join(" ").trim_end().to_owned()
}

fn foot(top: &Top) -> String {
    match &top.mode {
        Mode::Filter => format!("filter: {}_  (enter keeps it, escape lifts it)", top.filter),
        Mode::Confirm(Wish::Disconnect(session)) => format!("disconnect {session}? y/n"),
        Mode::Confirm(Wish::Ban(who)) => format!("ban {who} until the process ends? y/n"),
        Mode::Confirm(Wish::Quit) => "quit? y/n".to_owned(),
        Mode::Table if !top.said.is_empty() => top.said.clone(),
        Mode::Table if !top.filter.is_empty() => format!("filter: {}  {KEYS}", top.filter),
        Mode::Table => KEYS.to_owned(),
    }
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

fn styled(line: &str, style: &str, is_terminal: bool) -> String {
    if is_terminal { format!("{style}{line}{PLAIN}") } else { line.to_owned() }
}
